package attr_test

import (
	"net/netip"
	"time"

	"github.com/nfpacket/nfpacket/attr"
)

// tuple returns a Tuple of a protocol with ports.
func tuple(protocol uint8, src, dst string) attr.Tuple {
	return attr.Tuple{Protocol: protocol, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
}

// echo returns a Tuple of an ICMP echo message.
func echo(protocol, typ uint8, addr string) attr.Tuple {
	t := attr.Tuple{Protocol: protocol, ICMPType: typ, ICMPID: 0x1234}
	t.Src = netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
	t.Dst = t.Src
	return t
}

const natDone = attr.StatusConfirmed | attr.StatusSourceNATDone | attr.StatusDestinationNATDone

// tcpSpoken are the flags of a side that has begun as usual and sent an ACK.
// IP_CT_TCP_FLAG_WINDOW_SCALE, IP_CT_TCP_FLAG_SACK_PERM, IP_CT_TCP_FLAG_MAXACK_SET
const tcpSpoken = 1<<0 | 1<<1 | 1<<5

// connections are those in testdata/conntrack.
func connections() map[string]attr.Conntrack {
	labels := attr.ConntrackLabels{}
	labels.Set(1)
	labels.Set(127)
	inZone := tuple(17, "192.0.2.1:1002", "192.0.2.2:53")
	inZone.Zone = 9
	ftp := tuple(6, "192.0.2.1:1000", "192.0.2.2:21")
	return map[string]attr.Conntrack{
		"tcp-dnat": {
			ID:       0xa51c4a67,
			Status:   attr.StatusSeenReply | attr.StatusAssured | attr.StatusDestinationNAT | natDone,
			Original: tuple(6, "198.51.100.1:4660", "198.51.100.1:80"),
			Reply:    tuple(6, "127.0.0.1:8080", "198.51.100.1:4660"),
			Timeout:  431999 * time.Second,
			TCP:      attr.TCPInfo{State: attr.TCPEstablished, OriginalScale: 10, ReplyScale: 10, OriginalFlags: tcpSpoken, ReplyFlags: tcpSpoken},
			Mark:     42, HasMark: true, Labels: labels, HasLabels: true,
			Counted: true, OriginalCounters: attr.Counters{Packets: 3, Bytes: 164}, ReplyCounters: attr.Counters{Packets: 2, Bytes: 117},
			Start: time.Unix(0, 0x18ea01a8572610ef),
		},
		"udp6": {
			ID:       0xbf49c446,
			Status:   natDone,
			Original: tuple(17, "[2001:db8::1]:4660", "[2001:db8::1]:9"),
			Reply:    tuple(17, "[2001:db8::1]:9", "[2001:db8::1]:4660"),
			Timeout:  29 * time.Second,
			Mark:     42, HasMark: true, Labels: labels, HasLabels: true,
			Counted: true, OriginalCounters: attr.Counters{Packets: 1, Bytes: 51},
			Start: time.Unix(0, 0x18ea01a85728e88f),
		},
		"icmp": {
			ID:       0x7524d7a5,
			Status:   attr.StatusSeenReply | natDone,
			Original: echo(1, 8, "198.51.100.1"),
			Reply:    echo(1, 0, "198.51.100.1"),
			Timeout:  29 * time.Second,
			Mark:     42, HasMark: true, Labels: labels, HasLabels: true,
			Counted: true, OriginalCounters: attr.Counters{Packets: 1, Bytes: 28}, ReplyCounters: attr.Counters{Packets: 1, Bytes: 28},
			Start: time.Unix(0, 0x18ea01a860d81752),
		},
		"icmp6": {
			ID:       0xc3627847,
			Status:   attr.StatusSeenReply | natDone,
			Original: echo(58, 128, "2001:db8::1"),
			Reply:    echo(58, 129, "2001:db8::1"),
			Timeout:  29 * time.Second,
			Mark:     42, HasMark: true, Labels: labels, HasLabels: true,
			Counted: true, OriginalCounters: attr.Counters{Packets: 1, Bytes: 48}, ReplyCounters: attr.Counters{Packets: 1, Bytes: 48},
			Start: time.Unix(0, 0x18ea01a860da4dcc),
		},
		"ftp-control": {
			ID:       0xb71b7720,
			Status:   attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed | attr.StatusSeqAdjust | attr.StatusHelper,
			Zone:     7,
			Original: ftp,
			Reply:    tuple(6, "192.0.2.2:21", "192.0.2.1:1000"),
			Timeout:  299 * time.Second, TCP: attr.TCPInfo{State: attr.TCPEstablished},
			HasMark: true, Counted: true, Helper: []byte("ftp"),
			Start:          time.Unix(0, 0x18ea01a87179a638),
			OriginalSeqAdj: attr.SeqAdj{Position: 12345, After: 5},
			ReplySeqAdj:    attr.SeqAdj{Position: 1, After: -3},
			SynProxy:       attr.SynProxy{ISN: 11, ITS: 22, TSOffset: 33},
		},
		"ftp-data": {
			ID:       0x8d7ca673,
			Status:   attr.StatusExpected | attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed,
			Zone:     7,
			Original: tuple(6, "192.0.2.1:1001", "192.0.2.2:20"),
			Reply:    tuple(6, "192.0.2.2:20", "192.0.2.1:1001"),
			Master:   ftp,
			Timeout:  299 * time.Second, TCP: attr.TCPInfo{State: attr.TCPSynSent},
			HasMark: true, Counted: true,
			Start: time.Unix(0, 0x18ea01a8717ba1de),
		},
		"zone-original": {
			ID:       0xfe7fa58a,
			Status:   attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed,
			Original: inZone,
			Reply:    tuple(17, "192.0.2.2:53", "192.0.2.1:1002"),
			Timeout:  30 * time.Second,
			HasMark:  true, Counted: true,
			Start: time.Unix(0, 0x18ea01a8717c2ace),
		},
	}
}
