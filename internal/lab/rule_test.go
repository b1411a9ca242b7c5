//go:build linux

package lab_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/sys/unix"
)

// newNet returns a namespace that is closed with the test.
func newNet(t *testing.T) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// send sends one datagram to a receiver on the loopback device and reports
// whether it arrived; want says what is expected.
func send(t *testing.T, n *lab.Net, network, address string, want bool) (arrived bool) {
	t.Helper()
	pc, err := n.ListenPacket(network, address)
	testkit.Must(t, err)
	defer pc.Close()
	c, err := n.Dial(network, address)
	testkit.Must(t, err)
	defer c.Close()
	return deliver(t, c, pc, want)
}

// deliver reports whether a datagram written to c reaches pc. What is not
// wanted is not waited for long: local delivery is done when Write returns.
func deliver(t *testing.T, c net.Conn, pc net.PacketConn, want bool) bool {
	t.Helper()
	wait := 50 * time.Millisecond
	if want {
		wait = 20 * time.Second
	}
	// A local sender is told of a packet dropped at output by EPERM.
	_, _ = c.Write([]byte("lab"))
	testkit.Must(t, pc.SetReadDeadline(time.Now().Add(wait)))
	_, _, err := pc.ReadFrom(make([]byte, 16))
	return err == nil
}

func addRule(t *testing.T, c *lab.Chain, terms ...lab.Term) *lab.Rule {
	t.Helper()
	r, err := c.Add(terms...)
	testkit.Must(t, err)
	return r
}

func chain(t *testing.T, n *lab.Net, f lab.Family, h lab.Hook) *lab.Chain {
	t.Helper()
	c, err := n.Chain(f, h, 0)
	testkit.Must(t, err)
	return c
}

func wantPackets(t *testing.T, r *lab.Rule, want uint64) {
	t.Helper()
	got, err := r.Packets()
	testkit.Must(t, err)
	if got != want {
		t.Errorf("%d packets, want %d", got, want)
	}
}

func TestRuleCounts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		terms   []lab.Term
		arrived bool
		packets uint64
	}{
		{"all", nil, true, 1},
		{"this port", []lab.Term{lab.UDP(9999)}, true, 1},
		{"other port", []lab.Term{lab.UDP(9998), lab.Drop()}, true, 0},
		{"other protocol", []lab.Term{lab.TCP(9999), lab.Drop()}, true, 0},
		{"source port", []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.SrcPort(9999)}, true, 0},
		{"device", []lab.Term{lab.Out("lo")}, true, 1},
		{"other device", []lab.Term{lab.Out("eth0"), lab.Drop()}, true, 0},
		{"no mark", []lab.Term{lab.Mark(0)}, true, 1},
		{"accept", []lab.Term{lab.Accept()}, true, 1},
		{"drop", []lab.Term{lab.UDP(9999), lab.Drop()}, false, 1},
		{"log", []lab.Term{lab.UDP(9999), lab.Log(5, "lab: ", 64, 10)}, true, 1},
		{"log by default", []lab.Term{lab.UDP(9999), lab.Log(5, "", 0, 0)}, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet(t)
			r := addRule(t, chain(t, n, lab.IPv4, lab.Output), tt.terms...)
			if arrived := send(t, n, "udp", "127.0.0.1:9999", tt.arrived); arrived != tt.arrived {
				t.Errorf("arrived: %v, want %v", arrived, tt.arrived)
			}
			wantPackets(t, r, tt.packets)
		})
	}
}

// Without a listener a queue drops, and with Bypass it lets packets pass.
func TestQueueRule(t *testing.T) {
	for _, tt := range []struct {
		family  lab.Family
		network string
		address string
	}{
		{lab.IPv4, "udp", "127.0.0.1:9999"},
		{lab.IPv6, "udp", "[::1]:9999"},
		{lab.Inet, "udp", "127.0.0.1:9999"},
		{lab.Inet, "udp", "[::1]:9999"},
	} {
		t.Run(tt.family.String()+" "+tt.address, func(t *testing.T) {
			n := newNet(t)
			out := chain(t, n, tt.family, lab.Output)
			checkQueue(t, out, func(want bool) bool { return send(t, n, tt.network, tt.address, want) })
		})
	}
}

// checkQueue checks the kinds of queue rules, one after another, with packets
// to UDP port 9999 that pass the chain.
func checkQueue(t *testing.T, c *lab.Chain, arrives func(want bool) bool) {
	t.Helper()
	if !arrives(true) {
		t.Fatal("no packet arrived without a rule")
	}
	for _, tt := range []struct {
		name    string
		queue   lab.Term
		arrives bool
	}{
		{"queue 7", lab.Queue(7), false},
		{"queue 65535 bypass", lab.Queue(65535, lab.Bypass), true},
		{"queue 0-3 fanout", lab.Queues(0, 4, lab.Fanout), false},
		{"queue 0-65535 bypass,fanout", lab.Queues(0, 65535, lab.Bypass, lab.Fanout), true},
	} {
		r := addRule(t, c, lab.UDP(9999), tt.queue)
		if got := arrives(tt.arrives); got != tt.arrives {
			t.Errorf("%s: arrived %v, want %v", tt.name, got, tt.arrives)
		}
		wantPackets(t, r, 1)
		testkit.Must(t, r.Delete())
	}
	if !arrives(true) {
		t.Error("no packet arrived after the last rule was deleted")
	}
}

func TestQueueRuleInBridge(t *testing.T) {
	n := newNet(t)
	c, pc := bridged(t, n)
	for _, h := range []lab.Hook{lab.Prerouting, lab.Forward, lab.Postrouting} {
		t.Run(h.String(), func(t *testing.T) {
			// Behind br_netfilter's own, which at 5.10 go on behind all of priority 0.
			ch, err := n.Chain(lab.Bridge, h, 10)
			testkit.Must(t, err)
			if _, err := ch.Add(lab.UDP(1), lab.Queue(1)); errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err) // and it says so
			}
			checkQueue(t, ch, func(want bool) bool { return deliver(t, c, pc, want) })
		})
	}
}

// Where the kernel has br_netfilter, IPv4 chains see what crosses a bridge.
func TestQueueRuleForBridgedPackets(t *testing.T) {
	n := newNet(t)
	c, pc := bridged(t, n)
	if err := n.Sysctl("net/bridge/bridge-nf-call-iptables", "1"); errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	} else {
		testkit.Must(t, err)
	}
	checkQueue(t, chain(t, n, lab.IPv4, lab.Forward), func(want bool) bool { return deliver(t, c, pc, want) })
}

// bridged puts a bridge into n between two new namespaces, and returns a sender
// in one and a receiver in the other.
func bridged(t *testing.T, n *lab.Net) (net.Conn, net.PacketConn) {
	t.Helper()
	testkit.Must(t, n.Bridge("br0"))
	testkit.Must(t, n.Up("br0"))
	var ends [2]*lab.Net
	for i, port := range []string{"port0", "port1"} {
		ends[i] = newNet(t)
		testkit.Must(t, n.Veth(port, ends[i], "eth0"))
		testkit.Must(t, n.SetMaster(port, "br0"))
		testkit.Must(t, n.Up(port))
		testkit.Must(t, ends[i].Up("eth0"))
	}
	testkit.Must(t, ends[0].AddAddr("eth0", netip.MustParsePrefix("192.0.2.1/24")))
	testkit.Must(t, ends[1].AddAddr("eth0", netip.MustParsePrefix("192.0.2.2/24")))
	pc, err := ends[1].ListenPacket("udp", "192.0.2.2:9999")
	testkit.Must(t, err)
	t.Cleanup(func() { pc.Close() })
	c, err := ends[0].Dial("udp", "192.0.2.2:9999")
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c, pc
}

func TestSetMarkIsSeenByLaterRules(t *testing.T) {
	n := newNet(t)
	addRule(t, chain(t, n, lab.IPv4, lab.Output), lab.UDP(9999), lab.SetMark(0x01020304))
	post := chain(t, n, lab.IPv4, lab.Postrouting)
	marked := addRule(t, post, lab.Mark(0x01020304))
	other := addRule(t, post, lab.Mark(0x04030201))
	send(t, n, "udp", "127.0.0.1:9999", true)
	wantPackets(t, marked, 1)
	wantPackets(t, other, 0)
}
