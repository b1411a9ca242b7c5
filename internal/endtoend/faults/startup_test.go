//go:build linux

package faults

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// openBoth tries to open queue 3 and group 3 of n.
func openBoth(n *lab.Net) (queue, group error) {
	socket := nfnl.Config{NetNS: n.FD()}
	q, queue := nfqueue.Open(nfqueue.Config{Queue: 3, Socket: socket})
	if queue == nil {
		q.Close()
	}
	r, group := nflog.Open(nflog.Config{Groups: []uint16{3}, Socket: socket})
	if group == nil {
		r.Close()
	}
	return queue, group
}

// needOwners skips the test where the kernel does not show who has queues and
// groups.
func needOwners(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := engine.Dial(engine.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	for _, list := range []string{"nfnetlink_queue", "nfnetlink_log"} {
		f, err := conn.OpenProc("netfilter/" + list)
		if errors.Is(err, os.ErrPermission) {
			t.Skip(err)
		}
		testkit.Must(t, err)
		testkit.Must(t, f.Close())
	}
}

// wantSays fails the test unless err has all the words.
func wantSays(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v: it does not say %q", err, w)
		}
	}
}

// Who gets in the way is named: the port ID, the program and the process.
func TestErrorNamesTheProgramThatHasIt(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	testkit.Must(t, err)
	program := strconv.Quote(strings.TrimSpace(string(comm)))
	for name, c := range map[string]struct {
		occupy  func(t *testing.T, n *lab.Net) (process int)
		program string
		advice  string
	}{
		"this one": {func(t *testing.T, n *lab.Net) int {
			endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
			endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{3}})
			return os.Getpid()
		}, program, "this program has it open already"},
		"another one": {func(t *testing.T, n *lab.Net) int {
			h, err := endtoend.StartProcess(t, n, "taker", nil)
			testkit.Must(t, err)
			if got := h.NextLine(t); got != "ready" {
				t.Fatalf("the helper says %q", got)
			}
			return h.Process.Pid
		}, `"exe"`, "stop that program"}, // as which it was started
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			process := c.occupy(t, n)
			queue, group := openBoth(n)
			if !errors.Is(queue, nfqueue.ErrTaken) || errors.Is(queue, os.ErrPermission) {
				t.Errorf("queue: %v, want ErrTaken and not os.ErrPermission", queue)
			}
			if !errors.Is(group, nflog.ErrTaken) || errors.Is(group, os.ErrPermission) {
				t.Errorf("group: %v, want ErrTaken and not os.ErrPermission", group)
			}
			needOwners(t, n)
			for _, err := range []error{queue, group} {
				wantSays(t, err, "port ID ", "program "+c.program, "process "+strconv.Itoa(process), c.advice)
			}
		})
	}
}

// Root in a user namespace that does not own the network namespace is nobody there.
func TestWrongUserNamespaceIsAMissingCapability(t *testing.T) {
	n := endtoend.NewNet(t)
	h := endtoend.StartInUserNamespace(t, n, "stranger", 0)
	for i, got := range strings.Split(h.NextLine(t), "|") {
		if !strings.HasPrefix(got, "permission true, taken false: ") || !strings.Contains(got, "CAP_NET_ADMIN over the network namespace, which the user namespace of this program does not own") {
			t.Errorf("number %d: %s", i, got)
		}
	}
}

func TestMissingCapabilityIsNamedByBoth(t *testing.T) {
	n := endtoend.NewNet(t)
	var queue, group error
	testkit.Must(t, endtoend.WithoutNetAdmin(t, n, func() error {
		_, queue = nfqueue.Open(nfqueue.Config{Queue: 3})
		_, group = nflog.Open(nflog.Config{Groups: []uint16{3}})
		return nil
	}))
	for _, err := range []error{queue, group} {
		testkit.WantError(t, "Open", err, os.ErrPermission)
		wantSays(t, err, "3", "CAP_NET_ADMIN", "--cap-add NET_ADMIN")
	}
}

// What the kernel lacks is refused by the name of the field, and BestEffort does
// without it.
func TestBestEffortIsGrantedWhatThereIs(t *testing.T) {
	n := endtoend.NewNet(t)
	has := func(cfg nfqueue.Config) bool {
		cfg.Socket.NetNS = n.FD()
		q, err := nfqueue.Open(cfg)
		if err != nil {
			testkit.WantError(t, "Open", err, errors.ErrUnsupported)
			field := "Config.Conntrack asks"
			if cfg.SecurityContext {
				field = "Config.SecurityContext asks"
			}
			wantSays(t, err, field, "BestEffort")
			return false
		}
		testkit.Must(t, q.Close())
		return true
	}
	conntrack, context := has(nfqueue.Config{Conntrack: true}), has(nfqueue.Config{SecurityContext: true})
	t.Logf("this kernel has conntrack %v, security contexts %v", conntrack, context)
	wish := nfqueue.Config{Conntrack: true, ConntrackVerdicts: true, SecurityContext: true, Owner: true, BestEffort: true}
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Output, wish)
	check := func() {
		t.Helper()
		if g := l.Queue.Granted(); g.Conntrack != conntrack || g.ConntrackVerdicts != conntrack || g.SecurityContext != context {
			t.Errorf("granted is %+v", g)
		}
	}
	check()
	owners := make(chan bool, 2)
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		owners <- p.HasOwner
		return nfqueue.Accept()
	})
	endtoend.Send(t, l.From, "a")
	endtoend.WantReceived(t, l.To, "a")
	testkit.Must(t, l.Queue.Configure(nfqueue.Config{}))
	endtoend.Send(t, l.From, "b")
	endtoend.WantReceived(t, l.To, "b")
	if first, second := testkit.Next(t, owners), testkit.Next(t, owners); !first || second {
		t.Errorf("owners are told %v, then %v, want true, then false", first, second)
	}
	testkit.Must(t, l.Queue.Configure(wish))
	check()
}

func TestUnknownFlagIsNamed(t *testing.T) {
	n := endtoend.NewNet(t)
	_, err := nfqueue.Open(nfqueue.Config{Flags: 1 << 30, BestEffort: true, Socket: nfnl.Config{NetNS: n.FD()}})
	if !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Open: %v", err)
	}
	wantSays(t, err, "queue 0", "what Config.Flags asks for")

	q := endtoend.OpenQueue(t, n, nfqueue.Config{CopyRange: 99})
	wantSays(t, q.Configure(nfqueue.Config{Flags: 1 << 30}), "queue 0", "Flags")
	if g, c := q.Granted(), q.Config(); g.CopyRange != 99 || c.Flags != 0 {
		t.Errorf("granted is %+v", g)
	}
	if k, ok := endtoend.KernelStats(t, q); ok && k.CopyRange != 99 {
		t.Errorf("the kernel has %+v", k)
	}
}

func TestNetNSThatIsNone(t *testing.T) {
	endtoend.NewNet(t)
	notNS, err := os.Open(os.DevNull)
	testkit.Must(t, err)
	defer notNS.Close()
	otherKind, err := os.Open("/proc/self/ns/uts")
	testkit.Must(t, err)
	defer otherKind.Close()
	for name, c := range map[string]struct {
		fd   int
		want error
	}{
		"a file":                    {int(notNS.Fd()), syscall.EINVAL},
		"a namespace, but of names": {int(otherKind.Fd()), syscall.EINVAL},
		"not open":                  {1 << 20, syscall.EBADF},
	} {
		socket := nfnl.Config{NetNS: c.fd}
		_, queue := nfqueue.Open(nfqueue.Config{Queue: 3, Socket: socket})
		_, group := nflog.Open(nflog.Config{Groups: []uint16{3}, Socket: socket})
		for _, err := range []error{queue, group} {
			testkit.WantError(t, name, err, c.want)
			wantSays(t, err, "3", "NetNS is "+strconv.Itoa(c.fd))
		}
	}
}

// Who has a queue or group is looked for when the error is shown, and not for a
// stand-by that tries to open it again and again.
func TestOwnerIsLookedForWhenTheErrorIsShown(t *testing.T) {
	n := endtoend.NewNet(t)
	q, r := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3}), endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{3}})
	queue, group := openBoth(n)
	_, queues := nfqueue.OpenRange(nfqueue.Config{Queue: 3, Socket: nfnl.Config{NetNS: n.FD()}}, 2)
	testkit.Must(t, q.Close())
	testkit.Must(t, r.Close())
	for name, err := range map[string]error{"queue": queue, "group": group, "range of queues": queues} {
		if !errors.Is(err, nfqueue.ErrTaken) || strings.Contains(err.Error(), "this program has it open already") {
			t.Errorf("%s: %v, though it was given back before that was asked", name, err)
		}
	}
}
