//go:build linux

package lab_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// namespace returns the name of the calling thread's network namespace.
func namespace(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	testkit.Must(t, err)
	return name
}

func TestDoVisits(t *testing.T) {
	n, inner := newNet(t), newNet(t)
	home := namespace(t)
	want := errors.New("from inside")
	err := n.Do(func() error {
		there := namespace(t)
		if there == home {
			t.Error("Do did not leave home")
		}
		testkit.Must(t, inner.Do(func() error {
			if ns := namespace(t); ns == home || ns == there {
				t.Error("the inner Do stayed")
			}
			return nil
		}))
		if namespace(t) != there {
			t.Error("the inner Do did not come back")
		}
		return want
	})
	if err != want {
		t.Errorf("error %v, want %v", err, want)
	}
	if namespace(t) != home {
		t.Error("Do did not come back")
	}
}

// Threads that visited must not carry their namespace to other goroutines.
func TestDoLeavesOtherGoroutinesAlone(t *testing.T) {
	n := newNet(t)
	home := namespace(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				_ = n.Do(func() error { return nil })
				if namespace(t) != home {
					t.Error("not at home")
				}
			}
		})
	}
	wg.Wait()
}

func TestDoEndedByGoexit(t *testing.T) {
	n := newNet(t)
	home := namespace(t)
	done := make(chan string)
	go func() {
		defer func() { done <- namespace(t) }()
		_ = n.Do(func() error {
			runtime.Goexit()
			return nil
		})
	}()
	if ns := <-done; ns != home {
		t.Error("Do did not come back")
	}
}

func TestHere(t *testing.T) {
	n := newNet(t)
	for name, do := range map[string]func(func() error) error{
		"home":      func(f func() error) error { return f() },
		"inside Do": n.Do,
	} {
		testkit.Must(t, do(func() error {
			here, err := lab.Here()
			testkit.Must(t, err)
			defer here.Close()
			want := namespace(t)
			return here.Do(func() error {
				if got := namespace(t); got != want {
					t.Errorf("%s: Here is %s, want %s", name, got, want)
				}
				return nil
			})
		}))
	}
}

func TestDoAfterClose(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Close())
	if err := n.Do(func() error { return nil }); err == nil {
		t.Error("no error")
	}
}

// The same address is free in each namespace, and sockets stay in theirs.
func TestListenAndDial(t *testing.T) {
	const address = "127.0.0.1:9999"
	for range 2 {
		n := newNet(t)
		l, err := n.Listen("tcp", address)
		testkit.Must(t, err)
		defer l.Close()
		c, err := n.Dial("tcp", address)
		testkit.Must(t, err)
		defer c.Close()
		accepted, err := l.Accept()
		testkit.Must(t, err)
		defer accepted.Close()
		_, err = io.WriteString(c, "lab")
		testkit.Must(t, err)
		got := make([]byte, 3)
		if _, err = io.ReadFull(accepted, got); err != nil || string(got) != "lab" {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a listener inside is reachable from outside")
	}
}

func TestLoopbackIsUp(t *testing.T) {
	n := newNet(t)
	for network, address := range map[string]string{"udp4": "127.0.0.1:9999", "udp6": "[::1]:9999"} {
		if !send(t, n, network, address, true) {
			t.Errorf("%s does not reach %s", network, address)
		}
	}
	if !send(t, here(t), "udp", "127.0.0.1:9999", true) {
		t.Error("no loopback at home")
	}
}

func here(t *testing.T) *lab.Net {
	t.Helper()
	n, err := lab.Here()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func TestSysctl(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Forwarding(true))
	read := func() string {
		b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
		testkit.Must(t, err)
		return string(b)
	}
	testkit.Must(t, n.Do(func() error {
		if read() != "1\n" {
			t.Error("not set inside")
		}
		return nil
	}))
	if read() != "0\n" {
		t.Error("set outside")
	}
	if err := n.Sysctl("net/ipv4/no_such_key", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such key: %v", err)
	}
}
