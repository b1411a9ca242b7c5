//go:build linux

package rewrite

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// With BIG TCP packets are longer than any CopyRange. They pass, and are not
// rewritten; with Segment, or a smaller gso_max_size, they can be.
func TestBIGTCPIsRewrittenWithSegment(t *testing.T) {
	endtoend.NeedRewriting(t)
	for _, c := range []struct {
		name    string
		max     uint32
		segment bool
		changed bool
	}{
		{"BIG TCP", 200_000, false, false},
		{"BIG TCP, Segment", 200_000, true, true},
		{"a smaller gso_max_size", 60_000, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := endtoend.NewRouted(t)
			if err := r.A.SetGSOMax("eth0", c.max); err != nil {
				t.Skip(err)
			}
			var reported testkit.Errors
			q := endtoend.OpenQueue(t, r.A, nfqueue.Config{Segment: c.segment, Fallback: nfqueue.Accept(), OnError: reported.Add})
			endtoend.AddRule(t, r.A, lab.IPv6, lab.Output, lab.TCP(9999), lab.Queue(0))
			var longest atomic.Int64
			var gso atomic.Int64
			rewrite := addOne(&gso)
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				longest.Store(max(longest.Load(), int64(p.Len)))
				if v := rewrite(p); c.changed || p.Truncated() {
					return v
				}
				return nfqueue.Accept()
			})
			client, server := endtoend.TCPPair(t, r.A, r.B, r.Address(endtoend.IPv6))
			add := byte(0)
			if c.changed {
				add = 1
			}
			endtoend.WantStream(t, client, server, endtoend.RandomBytes(4<<20), add)
			switch {
			case c.changed && (len(reported.All()) > 0 || longest.Load() > 65535):
				t.Errorf("packets of up to %d bytes, errors %v", longest.Load(), reported.All())
			case !c.changed && longest.Load() > 65535+40:
				reported.WantOnly(t, nfqueue.ErrTruncated)
			case !c.changed:
				t.Skip("the device sends no BIG TCP")
			}
		})
	}
}

// A packet in PPPoE that a bridge hands to the IP hooks (br_netfilter) keeps the
// length in its PPPoE header when it becomes longer: what is behind that gets lost.
func TestPPPoEKeepsItsLengthWhenAPacketIsRewritten(t *testing.T) {
	endtoend.NeedRewriting(t)
	a, between, b := endtoend.BridgedNets(t)
	for _, key := range []string{"bridge-nf-call-iptables", "bridge-nf-filter-pppoe-tagged"} {
		if err := between.Sysctl("net/bridge/"+key, "1"); err != nil {
			t.Skip(err) // no br_netfilter
		}
	}
	q := endtoend.OpenQueue(t, between, nfqueue.Config{})
	endtoend.AddRule(t, between, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Queue(0))
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithPayload(append(p.Payload, "more"...))
	})
	arrived := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}, Threshold: 1})
	ingress, err := b.DeviceChain("eth0", lab.Ingress, 0)
	testkit.Must(t, err)
	_, err = ingress.Add(lab.Log(5, "", 0, 0))
	testkit.Must(t, err)
	packet := endtoend.UDPPacket(t, netip.MustParseAddr(innerA), netip.MustParseAddr(innerB), short)
	session := binary.BigEndian.AppendUint16([]byte{0x11, 0, 0, 1}, uint16(2+len(packet))) // struct pppoe_hdr
	endtoend.SendFrame(t, a, "eth0", slices.Concat(endtoend.HardwareAddr(t, b), endtoend.HardwareAddr(t, a), []byte{0x88, 0x64}, session, []byte{0, 0x21}, packet))
	for p, err := range arrived.Packets(t.Context()) {
		testkit.Must(t, err)
		if p.Proto != unix.ETH_P_PPP_SES {
			continue // what bridges tell each other
		}
		if says, has := int(binary.BigEndian.Uint16(p.Payload[4:])), len(p.Payload)-6; says != 2+len(packet) || has != says+4 {
			t.Errorf("a session packet of %d bytes says that it has %d, and had %d", has, says, 2+len(packet))
		}
		return
	}
}

// A longer payload and a change of the connection, which NAT changes and no helper
// follows, would spoil the connection; it is refused, and the connection goes on.
func TestNATWithoutAHelperKeepsItsConnection(t *testing.T) {
	endtoend.NeedRewriting(t)
	a, b, _, addrB := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.NeedConntrack(t, a, nfqueue.Config{Conntrack: true})
	nat, err := a.NAT(lab.IPv4, lab.Output)
	testkit.Must(t, err)
	_, err = nat.Add(lab.TCP(9998), lab.DNAT(netip.AddrPortFrom(addrB, 9999)))
	testkit.Must(t, err)
	endtoend.AddRule(t, a, lab.IPv4, lab.Output, lab.TCP(9999), lab.Queue(0))
	var reported testkit.Errors
	q := endtoend.OpenQueue(t, a, nfqueue.Config{Conntrack: true, Fallback: nfqueue.Accept(), OnError: reported.Add})
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if len(endtoend.TCPSegmentOf(p.Payload).Data()) == 0 {
			return nfqueue.Accept()
		}
		return nfqueue.Accept().WithPayload(append(p.Payload, "more"...)).WithConntrackMark(1, 1)
	})
	l, err := b.Listen("tcp", netip.AddrPortFrom(addrB, 9999).String())
	testkit.Must(t, err)
	defer l.Close()
	client, err := a.Dial("tcp", netip.AddrPortFrom(addrB, 9998).String())
	testkit.Must(t, err)
	defer client.Close()
	server, err := l.Accept()
	testkit.Must(t, err)
	defer server.Close()
	testkit.Must(t, server.SetDeadline(time.Now().Add(testkit.Patience)))
	for _, s := range []string{"hello", "goodbye"} {
		endtoend.Send(t, client, s)
		wantBytes(t, server, s)
	}
	reported.WantOnly(t, nfqueue.ErrNoHelper)
}

// wantBytes reads what must come next.
func wantBytes(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	testkit.Must(t, err)
	if string(got) != want {
		t.Errorf("received %q, want %q", got, want)
	}
}
