//go:build linux

package diagnose

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }

// dial opens a socket in n.
func dial(t *testing.T, n *lab.Net) *engine.Conn {
	t.Helper()
	c, err := engine.Dial(engine.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// bind asks for queue 9: NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_BIND.
var bind = engine.Message{Type: engine.SubsystemQueue<<8 | 2, Resource: 9, Attrs: attr.AppendBytes(nil, 1, []byte{1, 0, 0, 0})}

func TestOwnerIsNamed(t *testing.T) {
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	defer n.Close()
	first, second := dial(t, n), dial(t, n)
	testkit.Must(t, first.Request(bind))
	err = second.Request(bind)
	if !errors.Is(err, syscall.EPERM) {
		t.Fatal(err)
	}
	err = Refusal(second, err, engine.SubsystemQueue, 9)
	if !errors.Is(err, ErrTaken) || errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
	f, ferr := second.OpenProc("netfilter/nfnetlink_queue")
	if errors.Is(ferr, os.ErrPermission) {
		t.Skipf("only root sees who has a queue: %v", ferr)
	}
	testkit.Must(t, ferr)
	f.Close()
	name, nerr := os.ReadFile("/proc/self/comm")
	testkit.Must(t, nerr)
	for _, want := range []string{
		"port ID " + strconv.Itoa(int(first.PortID())),
		strconv.Quote(strings.TrimSpace(string(name))),
		"process " + strconv.Itoa(os.Getpid()),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}

	// It is looked for when it is shown, and then no more: who tries again and
	// again does not pay for that.
	late := Refusal(second, &engine.Error{Errno: syscall.EPERM}, engine.SubsystemQueue, 9)
	if !errors.Is(late, ErrTaken) {
		t.Fatal(late)
	}
	testkit.Must(t, first.Close())
	text := late.Error()
	if !strings.Contains(text, "port ID") || strings.Contains(text, "process "+strconv.Itoa(os.Getpid())+")") && !strings.Contains(text, "probably") {
		t.Errorf("%q, though the program has it no more", text)
	}
	if got := err.Error(); !strings.Contains(got, "this program has it open already") {
		t.Errorf("the text has become %q", got)
	}
	if who := ownerOf(second, "netfilter/nfnetlink_queue", 10); who != (owner{}) {
		t.Errorf("nobody has queue 10, but %v", who)
	}
	if who := ownerOf(second, "no such list", 9); who != (owner{}) {
		t.Errorf("there is no such list, but %v", who)
	}
}
