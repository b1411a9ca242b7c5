//go:build linux

package conntrack

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// tftp returns the action that has the helper for TFTP look at UDP.
func tftp(t testing.TB, n *lab.Net) lab.Term {
	t.Helper()
	action, err := n.Helper(lab.IPv4, "tftp", unix.IPPROTO_UDP)
	if errors.Is(err, unix.ENOENT) {
		t.Skip("this kernel has no helper for TFTP")
	}
	testkit.Must(t, err)
	return action
}

// A TFTP server answers from a port of its own choice, which the kernel expects:
// the answer is a connection that knows its master.
func TestConntrackTellsHelperAndMaster(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	helper := tftp(t, n)
	packets := follow(t, n, 0, nfqueue.Accept())
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Queue(0)})
	pc, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "\x00\x01file\x00octet\x00") // read request
	endtoend.Receive(t, pc)
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer data.Close()
	_, err = data.WriteTo([]byte("\x00\x03\x00\x01contents"), c.LocalAddr())
	testkit.Must(t, err)

	request := testkit.Next(t, packets)
	wantInfo(t, request, attr.InfoNew)
	wantStatus(t, request, attr.StatusHelper, attr.StatusHelper|attr.StatusExpected)
	if string(request.conn.Helper) != "tftp" || request.conn.Master != (attr.Tuple{}) {
		t.Errorf("helper %q, master %v", request.conn.Helper, request.conn.Master)
	}
	answer := testkit.Next(t, packets)
	wantInfo(t, answer, attr.InfoRelated)
	wantStatus(t, answer, attr.StatusExpected, attr.StatusExpected)
	if answer.conn.Master != request.conn.Original || answer.conn.Original.Src != addrPort(data.LocalAddr()) {
		t.Errorf("the answer is %v, of %v, want of %v", answer.conn.Original, answer.conn.Master, request.conn.Original)
	}
}

// A user-space helper lets connections in that belong to the one it has looked
// at, whether it changes that or not.
func TestVerdictCanExpectAConnection(t *testing.T) {
	for name, accept := range map[string]nfqueue.Verdict{
		"and nothing else": nfqueue.Accept(),
		"and a mark":       nfqueue.Accept().WithConntrackMark(1, 0xffffffff),
	} {
		for configured, cfg := range verdictConfigs {
			t.Run(name+", "+configured, func(t *testing.T) { testExpectation(t, cfg, accept) })
		}
	}
}

// testExpectation sends a packet over a connection with a helper, has another
// connection expected by its verdict, and opens that.
func testExpectation(t *testing.T, cfg nfqueue.Config, accept nfqueue.Verdict) {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, cfg)
	helper := tftp(t, n) // the kernel expects nothing without a helper
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.UDP(9999), lab.Queue(0)})
	packets := follow(t, n, 1, nfqueue.Accept())
	data, err := n.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer data.Close()
	server := addrPort(data.LocalAddr())
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Tracked(lab.Related), lab.Queue(1)})

	pc, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	client := addrPort(c.LocalAddr())
	q := endtoend.OpenQueue(t, n, cfg)
	endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		return accept.WithExpectation(attr.Expectation{
			Tuple: ends(unix.IPPROTO_UDP, netip.AddrPortFrom(server.Addr(), 1), client),
			Mask:  netip.MustParseAddrPort("255.255.255.255:0"), // any port
		})
	})
	endtoend.Send(t, c, "a protocol that the kernel does not know")
	endtoend.WantReceived(t, pc, "a protocol that the kernel does not know")

	_, err = data.WriteTo([]byte("expected"), c.LocalAddr())
	testkit.Must(t, err)
	p := testkit.Next(t, packets)
	if want := ends(unix.IPPROTO_UDP, client, addrPort(pc.LocalAddr())); p.conn.Status&attr.StatusExpected == 0 || p.conn.Master != want {
		t.Errorf("%v, status %v, master %v; want expected, of %v", p.ConntrackInfo, p.conn.Status, p.conn.Master, want)
	}
	wantInfo(t, p, attr.InfoRelated)
}

// Behind NAT a new connection goes where its master's end has said, and one that
// is permanent lets others follow.
func TestExpectedConnectionFollowsItsMasterThroughNAT(t *testing.T) {
	n := endtoend.NewNet(t)
	cfg := nfqueue.Config{ConntrackVerdicts: true}
	endtoend.NeedConntrack(t, n, cfg)
	helper := tftp(t, n)
	_, err := n.NAT(lab.IPv4, lab.Output)
	testkit.Must(t, err)
	endtoend.AddRules(t, n, lab.IPv4, lab.Output, 0, []lab.Term{lab.UDP(9999), helper}, []lab.Term{lab.UDP(9999), lab.Queue(0)})
	related := endtoend.AddRule(t, n, lab.IPv4, lab.Postrouting, lab.L4(unix.IPPROTO_UDP), lab.Tracked(lab.Related))
	inside, err := n.ListenPacket("udp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer inside.Close()
	pc, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	announced := netip.MustParseAddrPort("127.0.0.1:4444")
	q := endtoend.OpenQueue(t, n, cfg)
	endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithExpectation(attr.Expectation{
			Tuple:     ends(unix.IPPROTO_UDP, announced, announced),
			Mask:      netip.MustParseAddrPort("255.0.0.0:0"),
			Permanent: true,
			NAT:       attr.ExpectationNAT{Reply: true, To: addrPort(inside.LocalAddr())},
			Function:  "nat-follow-master",
		})
	})
	endtoend.Send(t, c, "a protocol that the kernel does not know")
	endtoend.WantReceived(t, pc, "a protocol that the kernel does not know")

	for _, text := range []string{"one", "another"} {
		from, err := n.Dial("udp", announced.String())
		testkit.Must(t, err)
		defer from.Close()
		endtoend.Send(t, from, text)
		endtoend.WantReceived(t, inside, text)
	}
	endtoend.WantPackets(t, related, 2)
}

// Without a helper the kernel would expect nothing and say nothing.
func TestVerdictCannotExpectWithoutAHelper(t *testing.T) {
	var reported testkit.Errors
	cfg := nfqueue.Config{Conntrack: true, Fallback: nfqueue.Accept().WithMark(1), OnError: reported.Add}
	l := newTrackedUDP(t, cfg)
	fallback := endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Mark(1))
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		c, err := p.Conntrack()
		if err != nil {
			t.Error(err)
		}
		return nfqueue.Drop().WithExpectation(attr.Expectation{Tuple: c.Reply, Mask: netip.MustParseAddrPort("255.255.255.255:0")})
	})
	endtoend.Send(t, l.From, "x")
	endtoend.WantReceived(t, l.To, "x")
	endtoend.WantPackets(t, fallback, 1)
	reported.WantOnly(t, nfqueue.ErrNoHelper)
}
