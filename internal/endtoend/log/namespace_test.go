//go:build linux

package log

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// loggerOf returns the logger of a family, as the namespace sees it.
func loggerOf(t *testing.T, n *lab.Net, f nfnl.Family) string {
	t.Helper()
	b, err := endtoend.ProcNet(n, "netfilter/nf_log")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the kernel shows its loggers to root only")
	}
	testkit.Must(t, err)
	lines := strings.Split(string(b), "\n")
	return strings.Fields(lines[f])[1]
}

func TestNamespaceLoggerIsSetAndCleared(t *testing.T) {
	n, other := endtoend.NewNet(t), endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{0}})
	for _, f := range []nfnl.Family{nfnl.IPv4, nfnl.IPv6, nfnl.Bridge} {
		before, ip, elsewhere := loggerOf(t, n, f), loggerOf(t, n, nfnl.ARP), loggerOf(t, other, f)
		testkit.Must(t, r.SetNamespaceLogger(f))
		if got := loggerOf(t, n, f); got != "nfnetlink_log" {
			t.Errorf("the logger of %v is %s, and was %s", f, got, before)
		}
		if loggerOf(t, n, nfnl.ARP) != ip || loggerOf(t, other, f) != elsewhere {
			t.Errorf("the logger of another family or namespace has changed with that of %v", f)
		}
	}
	testkit.Must(t, r.Close())
	if got := loggerOf(t, n, nfnl.IPv4); got != "nfnetlink_log" {
		t.Errorf("after Close the logger is %s", got)
	}
	r = endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{7}}) // clearing needs no group 0
	testkit.Must(t, r.ClearNamespaceLogger(nfnl.IPv4))
	if got := loggerOf(t, n, nfnl.IPv4); got != "NONE" {
		t.Errorf("the logger is %s after it was cleared", got)
	}

	r = endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{0}})
	if err := r.SetNamespaceLogger(200); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "family 200") {
		t.Errorf("a family that there is not: %v", err)
	}
	err := endtoend.WithoutNetAdmin(t, n, func() error { return r.SetNamespaceLogger(nfnl.IPv4) })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("without the capability: %v", err)
	}
}

// TestOpenLeavesTheNamespaceLoggerAlone is what other libraries do not.
func TestOpenLeavesTheNamespaceLoggerAlone(t *testing.T) {
	n := endtoend.NewNet(t)
	before := loggerOf(t, n, nfnl.IPv4)
	testkit.Must(t, endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{0, 5}}).Close())
	if got := loggerOf(t, n, nfnl.IPv4); got != before {
		t.Errorf("the logger is %s, and was %s", got, before)
	}
}

// TestKernelLogsInvalidPacketsToGroup0 sends a datagram whose length is wrong
// past connection tracking, before the logger is set and after.
func TestKernelLogsInvalidPacketsToGroup0(t *testing.T) {
	n := endtoend.NewNet(t)
	err := n.Sysctl("net/netfilter/nf_conntrack_log_invalid", "17")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		t.Skip("invalid packets are not logged here:", err)
	}
	testkit.Must(t, err)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.Tracked(lab.New))
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{0}})
	local := netip.MustParseAddr(endtoend.IPv4.Host)
	invalid := endtoend.UDPPacket(t, local, local, "hello")
	invalid[24], invalid[25] = 0xff, 0xff
	endtoend.SendRaw(t, n, local, invalid)
	testkit.Must(t, r.SetNamespaceLogger(nfnl.IPv4))
	endtoend.SendRaw(t, n, local, invalid)
	all := endtoend.NextLogged(t, r, 2) // on its way out, and on its return
	p := all[0]
	if p.Group != 0 || p.Seq != 0 || p.Family != nfnl.IPv4 || !strings.HasPrefix(string(p.Prefix), "nf_ct_proto_17: ") {
		t.Errorf("logged %+v with prefix %q", p, p.Prefix)
	}
	if got := endtoend.IPv4.Bodies([]*nflog.Packet{p})[0]; got != "hello" {
		t.Errorf("payload %q", got)
	}

	testkit.Must(t, r.ClearNamespaceLogger(nfnl.IPv4))
	endtoend.SendRaw(t, n, local, invalid)
	b := r.NewBatch()
	testkit.Must(t, r.TryReceive(b))
	if len(b.Packets) != 0 {
		t.Errorf("logged without a logger: %+v", b.Packets)
	}
}
