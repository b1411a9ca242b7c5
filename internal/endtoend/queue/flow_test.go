//go:build linux

package queue

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// transport returns a packet with that transport header, and lengths and
// checksums finished.
func transport(t testing.TB, src, dst netip.Addr, proto byte, header string) []byte {
	t.Helper()
	b := endtoend.UDPPacket(t, src, dst, "")
	b = append(b[:len(b)-8], header...)
	if src.Is4() {
		b[9] = proto
	} else {
		b[6] = proto
	}
	testkit.Must(t, nfqueue.Finish(b))
	return b
}

// behind returns the IPv6 packet b with an extension header put before what
// follows its header.
func behind(b []byte, number byte, extension ...byte) []byte {
	extension[0] = b[6]
	b = slices.Insert(bytes.Clone(b), 40, extension...)
	b[6] = number
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

// setWord sets 16 bits of an IPv4 header, and brings its checksum up to date as
// in RFC 1624.
func setWord(b []byte, at int, word uint16) {
	sum := uint32(^binary.BigEndian.Uint16(b[10:])) + uint32(^binary.BigEndian.Uint16(b[at:])) + uint32(word)
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(b[at:], word)
}

// asFragment returns the IPv4 packet b with that fragment field.
func asFragment(b []byte, field uint16) []byte {
	b = bytes.Clone(b)
	setWord(b, 6, field)
	return b
}

// synTo80 is a TCP header from port 1234 to 80.
const synTo80 = "\x04\xd2\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\xff\xff\x00\x00\x00\x00"

// authentication is an AH of 24 bytes in front of TCP.
const authentication = "\x06\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"

// A flow has the protocol, the port and the flags that the kernel's rules match
// in the packet, and none where they match nothing.
func TestFlowIsWhatRulesMatch(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, src, dst := endtoend.NetPair(t, v)
		syn, datagram := transport(t, src, dst, unix.IPPROTO_TCP, synTo80), endtoend.UDPPacket(t, src, dst, "hello")
		headers := v.Headers - 8
		short := bytes.Clone(syn[:headers])
		packets := map[string][]byte{
			"SYN":                 syn,
			"SYN, ACK":            transport(t, src, dst, unix.IPPROTO_TCP, synTo80[:13]+"\x12"+synTo80[14:]),
			"UDP":                 datagram,
			"UDP to another port": transport(t, src, dst, unix.IPPROTO_UDP, "\x04\xd2\x27\x10\x00\x08\x00\x00"),
			"ESP":                 transport(t, src, dst, unix.IPPROTO_ESP, synTo80),
			"AH":                  transport(t, src, dst, unix.IPPROTO_AH, authentication+synTo80),
		}
		if v == endtoend.IPv4 {
			setWord(short, 2, uint16(headers))
			packets["last fragment"] = asFragment(datagram, 0x0001)
			packets["first fragment"] = asFragment(datagram, 0x2000)
		} else {
			short[5] = 0
			packets["destination options"] = behind(syn, unix.IPPROTO_DSTOPTS, 0, 0, 1, 4, 0, 0, 0, 0)
			packets["destination options, then AH"] = behind(packets["AH"], unix.IPPROTO_DSTOPTS, 0, 0, 1, 4, 0, 0, 0, 0)
			packets["last fragment"] = behind(datagram, unix.IPPROTO_FRAGMENT, 0, 0, 0, 8, 0, 0, 0, 1)
			packets["first fragment"] = behind(datagram, unix.IPPROTO_FRAGMENT, 0, 0, 0, 1, 0, 0, 0, 2)
			packets["fragment of a whole datagram"] = behind(datagram, unix.IPPROTO_FRAGMENT, 0, 0, 0, 0, 0, 0, 0, 3)
		}
		packets["ports in the padding"] = append(short, synTo80...)
		r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1})
		for name, packet := range packets {
			t.Run(name, func(t *testing.T) { wantFlowAsRules(t, a, b, v, r, packet) })
		}
	})
}

// wantFlowAsRules sends a packet from a to b, where rules meet it and r logs it.
func wantFlowAsRules(t *testing.T, a, b *lab.Net, v endtoend.IPVersion, r *nflog.Reader, packet []byte) {
	t.Helper()
	chain, err := b.Chain(v.Family, lab.Prerouting, -450) // before fragments are put together
	testkit.Must(t, err)
	defer func() { testkit.Must(t, chain.Delete()) }()
	_, err = chain.Add(lab.L4(unix.IPPROTO_ICMPV6), lab.Accept()) // the devices' own
	testkit.Must(t, err)
	tcp, udp, syn := lab.TCP(80), lab.UDP(9999), lab.L4(unix.IPPROTO_TCP)
	rules := map[string]*lab.Rule{}
	for name, terms := range map[string][]lab.Term{"tcp dport 80": {tcp}, "udp dport 9999": {udp}, "syn": {syn, lab.SYN()}} {
		rules[name], err = chain.Add(terms...)
		testkit.Must(t, err)
	}
	_, err = chain.Add(lab.Mark(0), lab.Log(5, "", 0, 0), lab.Drop())
	testkit.Must(t, err)
	frame := append(endtoend.EthernetHeader(endtoend.HardwareAddr(t, b), endtoend.HardwareAddr(t, a)), packet...)
	if v == endtoend.IPv6 {
		binary.BigEndian.PutUint16(frame[12:], endtoend.EtherIPv6)
	}
	endtoend.SendFrame(t, a, "eth0", frame)
	p := endtoend.NextLogged(t, r, 1)[0]
	f, ok := nfnl.ParseFlow(p.Payload)
	if !ok {
		t.Fatalf("no flow in %x", p.Payload)
	}
	if p.Payload[0]>>4 == 6 && bytes.Contains(p.Payload, []byte(authentication)) {
		// nft stops at AH (IP6_FH_F_AUTH in nft_set_pktinfo_ipv6); ip6tables and
		// connection tracking do not.
		if f.Dst.Port() != 80 || f.TransportOffset == 0 {
			t.Errorf("AH was not skipped: %+v", f)
		}
		return
	}
	if f.FragmentOffset > 0 {
		// Some kernels take data for ports there (nft_payload_fast_eval).
		if f.FragmentOffset != 8 || f.Dst.Port() != 0 || f.TransportOffset != 0 {
			t.Errorf("a fragment without a transport header: %+v", f)
		}
		return
	}
	const finSynRstAck = nfnl.TCPFin | nfnl.TCPSyn | nfnl.TCPRst | nfnl.TCPAck
	for name, says := range map[string]bool{
		"tcp dport 80":   f.Protocol == unix.IPPROTO_TCP && f.Dst.Port() == 80,
		"udp dport 9999": f.Protocol == unix.IPPROTO_UDP && f.Dst.Port() == 9999,
		"syn":            f.Protocol == unix.IPPROTO_TCP && f.TCPFlags&finSynRstAck == nfnl.TCPSyn,
	} {
		want, err := rules[name].Packets()
		testkit.Must(t, err)
		if says != (want == 1) {
			t.Errorf("%+v; the rule %s matched %d packets", f, name, want)
		}
	}
}

// The offsets of a flow lead to the data that was sent.
func TestFlowLeadsToTheData(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.Log(5, "", 0, 0))
		client, server := endtoend.TCPPair(t, n, n, net.JoinHostPort(v.Host, "9999"))
		endtoend.Send(t, client, "hello")
		client.Close()
		server.Close()
		var flags []nfnl.TCPFlags
		var data string
		for _, p := range endtoend.NextLogged(t, r, 5) { // the handshake, the data, its acknowledgement
			f, _ := nfnl.ParseFlow(p.Payload)
			if f.TransportOffset != v.Headers-8 || f.PayloadOffset < f.TransportOffset+20 {
				t.Fatalf("transport at %d, data at %d", f.TransportOffset, f.PayloadOffset)
			}
			data += string(p.Payload[f.PayloadOffset:])
			flags = append(flags, f.TCPFlags)
		}
		want := []nfnl.TCPFlags{nfnl.TCPSyn, nfnl.TCPSyn | nfnl.TCPAck, nfnl.TCPAck, nfnl.TCPPsh | nfnl.TCPAck}
		if data != "hello" || !slices.Equal(flags[:4], want) {
			t.Errorf("data %q, flags %v, want %v", data, flags, want)
		}
	})
}

func TestFlowOfAnEchoAndItsError(t *testing.T) {
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.Log(5, "", 0, 0))
	lo := netip.MustParseAddr(endtoend.IPv4.Host)
	endtoend.SendRaw(t, n, lo, transport(t, lo, lo, unix.IPPROTO_ICMP, "\x08\x00\x00\x00\x12\x34\x00\x01"), endtoend.UDPPacket(t, lo, lo, "nobody listens"))
	type icmp struct {
		typ, code uint8
		id        uint16
	}
	var got []icmp
	for _, p := range endtoend.NextLogged(t, r, 4) {
		if f, _ := nfnl.ParseFlow(p.Payload); f.Protocol == unix.IPPROTO_ICMP {
			got = append(got, icmp{f.ICMPType, f.ICMPCode, f.ICMPID})
		}
	}
	if want := []icmp{{8, 0, 0x1234}, {0, 0, 0x1234}, {3, 3, 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
