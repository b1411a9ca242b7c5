//go:build linux

package endtoend

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// NeedConntrack skips the test on a kernel that can neither report connections nor
// change them. It checks that Open refuses cfg there.
func NeedConntrack(t testing.TB, n *lab.Net, cfg nfqueue.Config) {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	q, err := nfqueue.Open(cfg)
	if err == nil {
		testkit.Must(t, q.Close())
		return
	}
	if !lacksGlue() || !errors.Is(err, syscall.EOPNOTSUPP) || !strings.Contains(err.Error(), "Config.BestEffort") {
		t.Fatalf("Open: %v; the kernel lacks conntrack in messages: %v", err, lacksGlue())
	}
	cfg.BestEffort = true
	q = OpenQueue(t, n, cfg)
	defer q.Close()
	if g := q.Granted(); g.Conntrack || g.ConntrackVerdicts {
		t.Errorf("granted Conntrack %v, ConntrackVerdicts %v, which the kernel refused", g.Conntrack, g.ConntrackVerdicts)
	}
	t.Skip("this kernel puts no connections into messages, and reports that")
}

// lacksGlue reports whether the kernel lists its functions, and those that put
// connections into messages are not among them.
var lacksGlue = sync.OnceValue(func() bool {
	symbols, err := os.ReadFile("/proc/kallsyms")
	return err == nil && len(symbols) > 0 && !bytes.Contains(symbols, []byte("ctnetlink_glue_build"))
})
