package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// tcpPacket returns a finished TCP packet with a header of 24 bytes.
func tcpPacket(data string) []byte {
	return finished("4500 0000 0000 4000 4006 0000 c0000201 c0000202 1234 0009 00000001 00000002 6018 0100 0000 0000 01010101", []byte(data))
}

// A segmentation is a GSO packet and what it is to become.
type segmentation struct {
	from, to []byte
	hook     nfnl.Hook
	want     error
}

// GSO packets are cut by a size that only the kernel knows.
func TestRewriteOfAGSOPacketIsRefusedWhereItWouldBeLost(t *testing.T) {
	ipip := finished("4500 0000 0000 4000 4004 0000 c0000201 c0000202", tcpPacket("inner, inner"))
	for name, c := range map[string]segmentation{
		"TCP, as long":                 {tcpPacket("hello"), tcpPacket("HELLO"), nfnl.Output, nil},
		"TCP, longer":                  {tcpPacket("hello"), tcpPacket("hello!"), nfnl.Forward, nil},
		"TCP, a byte shorter":          {tcpPacket("hello"), tcpPacket("hell"), nfnl.Output, nfqueue.ErrGSO},
		"TCP, shorter, at forward":     {tcpPacket("hello"), tcpPacket("hell"), nfnl.Forward, nfqueue.ErrGSO},
		"TCP, shorter, at postrouting": {tcpPacket("hello"), tcpPacket("hell"), nfnl.Postrouting, nfqueue.ErrGSO},
		"TCP, shorter, at prerouting":  {tcpPacket("hello"), tcpPacket("hell"), nfnl.Prerouting, nfqueue.ErrGSO},
		"TCP, shorter, where it ends":  {tcpPacket("hello"), tcpPacket("hell"), nfnl.Input, nil},
		"TCP, options taken away":      {tcpPacket("hello"), finished(set(append(tcpPacket("")[:40], "hello"...), 32, "50")), nfnl.Output, nil},
		"TCP, to UDP":                  {tcpPacket("hello"), udpPacket("hello, but longer than before"), nfnl.Output, nfqueue.ErrGSO},
		"a tunnel":                     {ipip, ipip, nfnl.Output, nfqueue.ErrGSO},
		"UDP, as long":                 {pendingPacket("hello"), udpPacket("HELLO"), nfnl.Forward, nil},
		"UDP, shorter":                 {pendingPacket("hello"), udpPacket("hell"), nfnl.Forward, nfqueue.ErrGSO},
		"a tunnel in UDP":              {udpPacket("hello"), udpPacket("hello"), nfnl.Forward, nfqueue.ErrGSO},
	} {
		t.Run(name, func(t *testing.T) {
			p := nfqueue.Packet{Payload: c.from, Hook: c.hook, GSO: true, ChecksumPending: true}
			want := c.want
			if c.to[9] == 17 && !diagnose.KernelAtLeast(6, 12) {
				want = nfqueue.ErrGSO // the running kernel cannot cut it
			}
			for kind, v := range map[string]nfqueue.Verdict{
				"finished": nfqueue.Accept().WithPayload(c.to),
				"raw":      nfqueue.Accept().WithRawPayload(c.to),
			} {
				err := given(t, p, anyRewrite)(v)
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", kind, err, want)
				}
			}
		})
	}
}

// What is behind a VLAN tag, or in PPPoE, is not looked into.
func TestRewriteOfAGSOPacketThatIsNotIPIsRefused(t *testing.T) {
	tagged := append(wire("4005 0800"), udpPacket("hello")...) // a tag that looks like IPv4
	p := nfqueue.Packet{Payload: tagged, Proto: 0x8100, Family: nfnl.Bridge, GSO: true, ChecksumPending: true, Hook: nfnl.Forward}
	verdict := given(t, p, anyRewrite)
	if err := verdict(nfqueue.Accept().WithRawPayload(tagged)); !errors.Is(err, nfqueue.ErrGSO) {
		t.Errorf("raw: got %v", err)
	}
	if err := verdict(nfqueue.Accept().WithPayload(tagged)); !errors.Is(err, nfqueue.ErrNotIP) {
		t.Errorf("finished: got %v", err)
	}
}

// The checksum that the kernel is to compute is the inner packet's if the outer
// header's field is not prepared for it.
func TestRewriteWithAPendingChecksumInsideOfATunnelIsRefused(t *testing.T) {
	without := udpPacket("VXLAN, or another tunnel")
	without[26], without[27] = 0, 0
	for name, c := range map[string]struct {
		from []byte
		want error
	}{
		"its own checksum":          {pendingPacket("data"), nil},
		"no outer checksum":         {without, nfqueue.ErrTunnel},
		"an outer checksum that is": {udpPacket("VXLAN, or another tunnel"), nfqueue.ErrTunnel},
		"IPIP":                      {finished("4500 0000 0000 4000 4004 0000 c0000201 c0000202", udpPacket("x")), nfqueue.ErrTunnel},
	} {
		p := nfqueue.Packet{Payload: c.from, ChecksumPending: true, Hook: nfnl.Output}
		verdict := given(t, p, anyRewrite)
		if err := verdict(nfqueue.Accept().WithPayload(c.from)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err := verdict(nfqueue.Accept().WithRawPayload(c.from)); err != nil {
			t.Errorf("%s, raw: %v", name, err)
		}
	}
}

// Fragments of IPv4 with UDP, of which the first has the header.
var (
	first4 = finished("4500 0000 0007 2000 4011 0000 c0000201 c0000202 1234 0009 0100 abcd 68656c6c6f20776f726c642e31323334")
	last4  = finished("4500 0000 0007 0003 4011 0000 c0000201 c0000202 68656c6c6f")
)

// swapped returns a copy of b with two 16-bit words exchanged.
func swapped(b []byte, i, j int) []byte {
	c := bytes.Clone(b)
	copy(c[i:i+2], b[j:])
	copy(c[j:j+2], b[i:])
	return c
}

func TestRewriteOfAFragmentIsRefusedWhereItsDatagramWouldBeLost(t *testing.T) {
	unsummed := set(first4, 26, "0000")
	gre := set(last4, 9, "2f")
	for name, c := range map[string]struct {
		from, to []byte
		want     error
	}{
		"as it is":                        {first4, first4, nil},
		"the header":                      {first4, set(first4, 8, "01"), nil},
		"words exchanged":                 {first4, swapped(first4, 30, 36), nil},
		"data":                            {first4, set(first4, 30, "ffff"), nfqueue.ErrFragment},
		"data, last":                      {last4, set(last4, 22, "ffff"), nfqueue.ErrFragment},
		"data, IPv6":                      {fragment6, set(fragment6, len(fragment6)-1, "00"), nfqueue.ErrFragment},
		"an address":                      {first4, set(first4, 16, "0a"), nfqueue.ErrFragment},
		"an address, last":                {last4, set(last4, 16, "0a"), nil},
		"longer":                          {first4, append(bytes.Clone(first4), 0, 0), nfqueue.ErrFragment},
		"shorter, last":                   {last4, last4[:24], nfqueue.ErrFragment},
		"data, without a checksum":        {unsummed, set(unsummed, 30, "ffff"), nil},
		"longer, last, without checksums": {gre, append(bytes.Clone(gre), 1, 2), nil},
		"longer than a datagram can be":   {set(gre, 6, "1ffe"), append(set(gre, 6, "1ffe"), make([]byte, 20)...), nfqueue.ErrFragment},
	} {
		p := nfqueue.Packet{Payload: c.from, Family: family(c.from)}
		verdict := given(t, p, anyRewrite)
		if err := verdict(nfqueue.Accept().WithPayload(c.to)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err := verdict(nfqueue.Accept().WithRawPayload(c.to)); err != nil {
			t.Errorf("%s, raw: %v", name, err)
		}
	}
}

// A frame on a bridge may become one of another IP version if its header says so.
func TestFrameMayBecomeOneOfAnotherIPVersion(t *testing.T) {
	p := nfqueue.Packet{Payload: plain4, Family: nfnl.Bridge, LinkHeader: make([]byte, 14)}
	verdict := given(t, p, anyRewrite)
	v := nfqueue.Accept().WithPayload(plain6)
	if err := verdict(v); !errors.Is(err, nfqueue.ErrRewriteForbidden) {
		t.Errorf("got %v", err)
	}
	if err := verdict(v.WithLinkHeader(wire("020000000001 020000000002 86dd"))); err != nil {
		t.Errorf("with its header: %v", err)
	}
}

// What lies behind a packet is not a part of it.
func TestPaddingOfAFrameIsNotInThePayload(t *testing.T) {
	for name, c := range map[string]struct {
		p    nfqueue.Packet
		want int
	}{
		"bridge":            {nfqueue.Packet{Family: nfnl.Bridge, Payload: append(udpPacket("hello"), make([]byte, 13)...)}, 33},
		"bridge, IPv6":      {nfqueue.Packet{Family: nfnl.Bridge, Proto: 0x86dd, Payload: append(bytes.Clone(plain6), 0, 0)}, len(plain6)},
		"bridge, no IP":     {nfqueue.Packet{Family: nfnl.Bridge, Proto: 0x0806, Payload: make([]byte, 46)}, 46},
		"bridge, cut":       {nfqueue.Packet{Family: nfnl.Bridge, Payload: udpPacket("hello")[:30], Len: 46}, 30},
		"another family":    {nfqueue.Packet{Payload: append(udpPacket("hello"), 0, 0)}, 35},
		"bridge, BIG TCP":   {nfqueue.Packet{Family: nfnl.Bridge, Payload: set(tcpPacket("hello"), 2, "0000")}, 49},
		"bridge, too short": {nfqueue.Packet{Family: nfnl.Bridge, Payload: set(udpPacket("hello"), 2, "0001")}, 20},
	} {
		q, k := open(t, nfqueue.Config{})
		k.Enqueue(c.p)
		b := q.NewBatch()
		receive(t, q, b, 1)
		if p := &b.Packets[0]; len(p.Payload) != c.want || cap(p.Payload) != c.want || p.Truncated() != (name == "bridge, cut") {
			t.Errorf("%s: %d bytes, want %d; truncated %v", name, len(p.Payload), c.want, p.Truncated())
		}
	}
}

// Bytes behind a UDP datagram that ends early stay behind it.
func TestBytesBehindADatagramDoNotBecomeItsData(t *testing.T) {
	hidden := func(data, behind string) []byte {
		b := append(udpPacket(data), behind...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	from := hidden("hello", " hidden")
	for name, c := range map[string]struct {
		to   []byte
		want int // UDP length
	}{
		"edited in place":         {set(from, 28, "48"), 8 + 5},
		"longer":                  {append(bytes.Clone(from), '!'), 8 + 6},
		"shorter":                 {from[:len(from)-1], 8 + 4},
		"a packet of its own":     {udpPacket("a new one"), 8 + 9},
		"one whose length is set": {append(hidden("hello, hello", "")[:28], "hello, hello"...), 8 + 12},
		"one without a length":    {set(from, 24, "0000"), 8 + 12},
		"nothing but what was":    {from[:30], 8 + 2},
	} {
		b, err := nfqueue.Accept().WithPayload(c.to).Append(nil, decode(t, packetMessage(1, tlv(10, from))))
		if err != nil {
			t.Fatal(err)
		}
		got := payloadOf(parse(t, b))
		if n := binary.BigEndian.Uint16(got[24:]); int(n) != c.want || int(binary.BigEndian.Uint16(got[2:])) != len(c.to) {
			t.Errorf("%s: UDP length %d, want %d; total length %d of %d bytes", name, n, c.want, binary.BigEndian.Uint16(got[2:]), len(c.to))
		}
	}
}

// natted encodes what a rewrite has to know of one: its status, and where it
// goes and comes from.
func natted(status attr.ConntrackStatus, helper bool, original, reply [2]string) []byte {
	tlv := func(typ uint16, value []byte) []byte { // padded
		b := tlv(typ, value)
		return append(b, make([]byte, -len(b)&3)...)
	}
	tuple := func(typ uint16, ends [2]string) []byte {
		src, dst := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		ip := append(tlv(1, src.Addr().AsSlice()), tlv(2, dst.Addr().AsSlice())...)
		proto := append(tlv(2, binary.BigEndian.AppendUint16(nil, src.Port())), tlv(3, binary.BigEndian.AppendUint16(nil, dst.Port()))...)
		return tlv(typ, append(tlv(1, ip), tlv(2, append(tlv(1, []byte{17}), proto...))...))
	}
	b := append(tuple(1, original), tuple(2, reply)...)
	b = append(b, tlv(3, binary.BigEndian.AppendUint32(nil, uint32(status)))...)
	if helper {
		b = append(b, tlv(5, tlv(1, []byte("ftp\x00")))...)
	}
	return b
}

// behindNAT is a packet of a connection, with attributes of it.
func behindNAT(payload, conn []byte, hook, skbInfo string) []byte {
	m := packetMessage(1, tlv(14, skbInfo), tlv(10, payload), tlv(11, conn), tlv(12, "00000000"))
	copy(m[30:], wire(hook))
	return m
}

// With NAT behind the queue a UDP GSO packet's checksums would be spoilt.
func TestRewriteOfUDPGSOInFrontOfNATIsRefused(t *testing.T) {
	if !diagnose.KernelAtLeast(6, 12) {
		t.Skip("the running kernel cannot cut UDP that was rewritten")
	}
	const near, far, router = "192.0.2.1:4660", "192.0.2.2:9", "198.51.100.7:4660"
	p := pendingPacket("hello") // from near to far
	for name, c := range map[string]struct {
		status   attr.ConntrackStatus
		original [2]string
		reply    [2]string
		want     error
	}{
		"no NAT":           {attr.StatusConfirmed, [2]string{near, far}, [2]string{far, near}, nil},
		"masquerade ahead": {attr.StatusSourceNAT, [2]string{near, far}, [2]string{far, router}, nfqueue.ErrGSO},
		"redirect behind":  {attr.StatusDestinationNAT, [2]string{near, router}, [2]string{far, near}, nil},
		"redirect ahead":   {attr.StatusDestinationNAT, [2]string{near, far}, [2]string{router, near}, nfqueue.ErrGSO},
	} {
		message := behindNAT(p, natted(c.status, false, c.original, c.reply), "03", "00000003")
		if _, err := nfqueue.Accept().WithPayload(udpPacket("HELLO")).Append(nil, decode(t, message)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A connection that NAT changes has room for other sequence numbers only with a
// helper.
func TestOtherLengthAndAChangeOfAConnectionWithNATNeedAHelper(t *testing.T) {
	ends := [2]string{"192.0.2.1:4660", "192.0.2.2:9"}
	longer := nfqueue.Accept().WithPayload(tcpPacket("hello, world"))
	for name, c := range map[string]struct {
		status attr.ConntrackStatus
		helper bool
		v      nfqueue.Verdict
		want   error
	}{
		"longer and a mark":                {attr.StatusSourceNAT, false, longer.WithConntrackMark(1, 1), nfqueue.ErrNoHelper},
		"raw, longer and a mark":           {attr.StatusSourceNAT, false, nfqueue.Accept().WithRawPayload(tcpPacket("longer than it")).WithConntrackMark(1, 1), nfqueue.ErrNoHelper},
		"longer and a mark, with a helper": {attr.StatusSourceNAT, true, longer.WithConntrackMark(1, 1), nil},
		"longer and a mark, no NAT":        {attr.StatusConfirmed, false, longer.WithConntrackMark(1, 1), nil},
		"longer alone":                     {attr.StatusSourceNAT, false, longer, nil},
		"as long, and a mark":              {attr.StatusSourceNAT, false, nfqueue.Accept().WithPayload(tcpPacket("HELLO")).WithConntrackMark(1, 1), nil},
		"UDP, longer, and a mark":          {attr.StatusSourceNAT, false, nfqueue.Accept().WithPayload(udpPacket("hello, world")).WithConntrackMark(1, 1), nil},
	} {
		message := behindNAT(tcpPacket("hello"), natted(c.status, c.helper, ends, ends), "03", "00000000")
		if _, err := c.v.Append(nil, decode(t, message)); errors.Is(err, nfqueue.ErrUntracked) || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
