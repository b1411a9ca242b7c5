//go:build linux

package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// descriptors returns what the open descriptors of this process refer to.
func descriptors() (all []string) {
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if target, err := os.Readlink(path.Join(dir, e.Name())); err == nil {
			all = append(all, target)
		}
	}
	return all
}

// listDescriptors tells what descriptors a process is started with.
func listDescriptors() error {
	fmt.Println(strings.Join(descriptors(), "|"))
	return nil
}

// Everything the library opens is close-on-exec: a program that is started has
// none of it.
func TestStartedProgramInheritsNothing(t *testing.T) {
	n := endtoend.NewNet(t)
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{3}})
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	adopted, err := nfnl.FileConn(endtoend.DupDescriptor(t, conn))
	testkit.Must(t, err)
	defer adopted.Close()
	for _, open := range []func() (*nfnl.Links, error){q.Links, r.Links} {
		l, err := open()
		if errors.Is(err, os.ErrPermission) {
			t.Log("not checked:", err)
			continue
		}
		testkit.Must(t, err)
		defer l.Close()
	}

	h, err := endtoend.StartProcess(t, n, "lister", nil)
	testkit.Must(t, err)
	inherited := strings.Split(h.NextLine(t), "|")
	if len(inherited) < 3 {
		t.Fatalf("the helper has %q, not even its standard streams", inherited)
	}
	sockets := 0
	for _, target := range descriptors() {
		switch {
		case strings.HasPrefix(target, "socket:"):
			sockets++
		case strings.HasPrefix(target, "net:["), strings.HasPrefix(target, "/proc/"):
		default:
			continue // a pipe to the helper, or of the test's own
		}
		if slices.Contains(inherited, target) {
			t.Errorf("a program that was started has %s", target)
		}
	}
	if sockets < 4 {
		t.Errorf("%d sockets are open, want 4 at least", sockets)
	}
}

// limitDescriptors leaves room for n descriptors more.
func limitDescriptors(n int) error {
	probe, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	first := int(probe.Fd()) // the lowest number that is free
	probe.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(first + n)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// starve runs queue 3 and group 3, and uses up its descriptors. It tells what
// Open says then, and again with more room.
func starve() error {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}, Threshold: 1})
	if err != nil {
		return err
	}
	defer r.Close()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3})
	if err != nil {
		return err
	}
	defer q.Close()
	go endtoend.ReceiveLoop(q, nfqueue.Accept())

	descriptors() // opens what the runtime needs for good
	if err := limitDescriptors(0); err != nil {
		return err
	}
	_, queue := nfqueue.Open(nfqueue.Config{Queue: 4})
	_, group := nflog.Open(nflog.Config{Groups: []uint16{4}})
	_, links := q.Links()
	configure := errors.Join(q.Configure(nfqueue.Config{Queue: 3, CopyRange: 100}), r.Configure(nflog.Config{Groups: []uint16{3}, Threshold: 1}))
	fmt.Printf("%v|%v|%v|%v|%v|%v|%v\n", errors.Is(queue, unix.EMFILE), errors.Is(group, unix.EMFILE), errors.Is(links, unix.EMFILE), queue, group, links, configure)

	b := r.NewBatch()
	if err := r.Receive(b); err != nil {
		return err
	}
	fmt.Println("logged", b.Packets[0].Seq)
	io.Copy(io.Discard, os.Stdin)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	return openWithLittleRoom(before)
}

// rooms is more than Open needs on any kernel.
const rooms = 20

// openWithLittleRoom opens a queue with room for 0 descriptors, 1 and so on. It
// tells how often that fails, and where descriptors are left.
func openWithLittleRoom(before unix.Rlimit) error {
	had := len(descriptors())
	failed, left := 0, 0
	for room := range rooms {
		if err := limitDescriptors(room); err != nil {
			return err
		}
		q, err := nfqueue.Open(nfqueue.Config{Queue: 4})
		if err == nil {
			if links, err := q.Links(); err == nil {
				links.Close()
			}
			err = q.Close()
		} else if errors.Is(err, unix.EMFILE) {
			failed++
			err = nil
		}
		if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)); err != nil {
			return fmt.Errorf("room for %d descriptors: %w", room, err)
		}
		left += len(descriptors()) - had
	}
	fmt.Printf("failed %d, left %d\n", failed, left)
	return nil
}

// With no descriptor to be had Open says so. What is open goes on, and can be
// configured.
func TestDescriptorsRunOut(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(3, "", 0, 1), lab.Queue(3))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	h, err := endtoend.StartProcess(t, n, "starving", nil)
	testkit.Must(t, err)
	said := strings.Split(h.NextLine(t), "|")
	if len(said) != 7 {
		t.Fatalf("the helper says %q", said)
	}
	if said[0] != "true" || said[1] != "true" || said[2] != "true" || said[6] != "<nil>" {
		t.Errorf("queue, group and Links match EMFILE: %s, %s, %s; Configure returned %s", said[0], said[1], said[2], said[6])
	}
	wantSays(t, errors.New(said[3]), "queue 4", "too many open files", "RLIMIT_NOFILE")
	wantSays(t, errors.New(said[4]), "group 4", "too many open files", "RLIMIT_NOFILE")
	wantSays(t, errors.New(said[5]), "nfqueue 3", "too many open files", "RLIMIT_NOFILE")
	endtoend.Send(t, from, "x", "y")
	endtoend.WantReceived(t, to, "x", "y")
	if got := h.NextLine(t); got != "logged 0" {
		t.Errorf("the helper says %q", got)
	}
	testkit.Must(t, h.Stdin.Close())
	if got := h.NextLine(t); !strings.HasSuffix(got, ", left 0") || strings.HasPrefix(got, "failed 0,") || strings.HasPrefix(got, fmt.Sprintf("failed %d,", rooms)) {
		t.Errorf("with little room: %s", got)
	}
}
