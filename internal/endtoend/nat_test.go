//go:build linux

package endtoend

import (
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// NAT takes place at fixed places of a hook, -100 and 100, whatever priority its
// chains name. A queue at prerouting or output sees the old destination before
// -100, and one behind that the new one.
// (The kernel refuses a chain at -200 or before, which is where tracking is.)
func TestNATTakesPlaceAtItsFixedPriority(t *testing.T) {
	n := newNet(t)
	to, err := n.ListenPacket("udp", "127.0.0.1:8888")
	must(t, err)
	defer to.Close()
	for _, priority := range []int{-150, 0, 300} {
		r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Threshold: 1})
		chain, err := n.NATAt(lab.IPv4, lab.Output, priority)
		must(t, err)
		_, err = chain.Add(lab.UDP(9999), lab.DNAT(netip.MustParseAddrPort("127.0.0.1:8888")))
		must(t, err)
		addRules(t, n, lab.IPv4, lab.Output, -110, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Log(5, "before", 0, 0)})
		addRules(t, n, lab.IPv4, lab.Output, -90, []lab.Term{lab.L4(unix.IPPROTO_UDP), lab.Log(5, "behind", 0, 0)})
		from, err := n.Dial("udp", "127.0.0.1:9999")
		must(t, err)
		send(t, from, "x")
		wantReceived(t, to, "x")
		for i, p := range logged(t, r, 2) {
			f, _ := nfnl.ParseFlow(p.Payload)
			if want := []uint16{9999, 8888}[i]; f.Dst.Port() != want {
				t.Errorf("NAT at %d: %s it the port is %d, want %d", priority, p.Prefix, f.Dst.Port(), want)
			}
		}
		must(t, from.Close())
		must(t, r.Close())
		must(t, n.Flush())
	}
}
