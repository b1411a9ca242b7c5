//go:build linux

package main

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// The server reads longer text than the client has sent, and both go on talking to
// the end of the connection.
func TestStreamBecomesLongerAndGoesOn(t *testing.T) {
	client, router, server := exampletest.Router(t, "192.0.2.2/25", "192.0.2.1/25", "192.0.2.129/25", "192.0.2.130/25")
	probe, err := nfqueue.Open(nfqueue.Config{Queue: 1, Conntrack: true, Socket: nfnl.Config{NetNS: router.FD()}})
	if err != nil {
		t.Skipf("this kernel puts no connections into messages: %v", err)
	}
	probe.Close()
	helpAndNAT(t, router, "192.0.2.130:8000")
	exampletest.Start(t, router, "-old", "old", "-new", "brand-new")
	l, err := server.Listen("tcp", "192.0.2.130:8000")
	testkit.Must(t, err)
	defer l.Close()
	near, err := client.Dial("tcp", "192.0.2.1:8000") // the router's address
	testkit.Must(t, err)
	defer near.Close()
	far, err := l.Accept()
	testkit.Must(t, err)
	defer far.Close()
	for _, c := range []net.Conn{near, far} {
		testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
	}

	for range 3 {
		say(t, near, far, "an old song, ", "an brand-new song, ")
		say(t, far, near, "an old answer, ", "an old answer, ")
		say(t, near, far, "nothing to change, ", "nothing to change, ")
	}
	testkit.Must(t, near.Close())
	if rest, err := io.ReadAll(far); len(rest) > 0 || err != nil {
		t.Errorf("behind the end: %q, %v", rest, err)
	}
}

// helpAndNAT makes the router's rules: a helper, and behind that NAT.
func helpAndNAT(t *testing.T, router *lab.Net, to string) {
	t.Helper()
	help, err := router.Helper(lab.IPv4, "ftp", unix.IPPROTO_TCP)
	testkit.Must(t, err)
	chain, err := router.Chain(lab.IPv4, lab.Prerouting, -150)
	testkit.Must(t, err)
	_, err = chain.Add(lab.TCP(8000), help)
	testkit.Must(t, err)
	nat, err := router.NAT(lab.IPv4, lab.Prerouting)
	testkit.Must(t, err)
	_, err = nat.Add(lab.TCP(8000), lab.DNAT(netip.MustParseAddrPort(to)))
	testkit.Must(t, err)
}

// say sends a text, and checks what is read of it.
func say(t *testing.T, from, to net.Conn, text, want string) {
	t.Helper()
	_, err := from.Write([]byte(text))
	testkit.Must(t, err)
	got := make([]byte, len(want))
	_, err = io.ReadFull(to, got)
	testkit.Must(t, err)
	if string(got) != want {
		t.Errorf("read %q, want %q", got, want)
	}
}
