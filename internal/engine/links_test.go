//go:build linux

package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// newNet returns a namespace that ends with the test.
func newNet(t *testing.T) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// linksOf returns the names in a namespace.
func linksOf(t *testing.T, n *lab.Net) *Links {
	t.Helper()
	l, err := dialTest(t, Config{NetNS: n.FD()}).Links()
	testkit.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// wantName waits until the kernel has told of a name.
func wantName(t *testing.T, l *Links, index int, want string) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); l.Name(index) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("interface %d is called %q, want %q", index, l.Name(index), want)
		}
	}
}

// indexOf returns the index of a device.
func indexOf(t *testing.T, n *lab.Net, name string) int {
	t.Helper()
	index, err := n.Index(name)
	testkit.Must(t, err)
	return index
}

func TestLinksKnowNamesAtOnce(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Veth("left", n, "right"))
	l := linksOf(t, n)
	for _, name := range []string{"lo", "left", "right"} {
		if got := l.Name(indexOf(t, n, name)); got != name {
			t.Errorf("%s is called %q", name, got)
		}
	}
	for _, index := range []int{0, -1, 99999} {
		if got := l.Name(index); got != "" {
			t.Errorf("index %d is called %q", index, got)
		}
	}
}

func TestLinksFollowTheKernel(t *testing.T) {
	n, other := newNet(t), newNet(t)
	l := linksOf(t, n)
	testkit.Must(t, n.Veth("new", n, "peer"))
	index, peer := indexOf(t, n, "new"), indexOf(t, n, "peer")
	wantName(t, l, index, "new")
	testkit.Must(t, n.Rename("new", "renamed"))
	wantName(t, l, index, "renamed")
	testkit.Must(t, n.DelLink("renamed"))
	testkit.Must(t, n.Veth("later", n, "other"))
	wantName(t, l, indexOf(t, n, "later"), "later")
	for i, name := range map[int]string{index: "renamed", peer: "peer"} { // for packets on their way
		if got := l.Name(i); got != name {
			t.Errorf("once it is deleted, %s is called %q", name, got)
		}
	}

	// One end in another namespace is not ours.
	testkit.Must(t, n.Veth("here", other, "there"))
	wantName(t, l, indexOf(t, n, "here"), "here")
	there := linksOf(t, other)
	if got := there.Name(indexOf(t, other, "there")); got != "there" {
		t.Errorf("in the other namespace it is called %q", got)
	}
}

// A port that leaves its bridge is deleted in the bridge's eyes only.
func TestLinksKeepThePortOfABridge(t *testing.T) {
	n := newNet(t)
	l := linksOf(t, n)
	testkit.Must(t, n.Bridge("br0"))
	testkit.Must(t, n.Veth("port", n, "peer"))
	index := indexOf(t, n, "port")
	testkit.Must(t, n.SetMaster("port", "br0"))
	testkit.Must(t, n.SetMaster("port", ""))
	testkit.Must(t, n.Rename("port", "free")) // comes after all that
	wantName(t, l, index, "free")
	testkit.Must(t, n.DelLink("br0"))
	wantName(t, l, index, "free")
}

func TestClosedLinksKeepTheirNames(t *testing.T) {
	n := newNet(t)
	l := linksOf(t, n)
	lo := indexOf(t, n, "lo")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { // a second Close waits for the first
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if got := l.Name(lo); got != "lo" {
				t.Errorf("it is called %q", got)
			}
		})
	}
	wg.Wait()
}

func TestLinksOutliveTheConn(t *testing.T) {
	n := newNet(t)
	c := dialTest(t, Config{NetNS: n.FD()})
	l, err := c.Links()
	testkit.Must(t, err)
	defer l.Close()
	testkit.Must(t, c.Close())
	testkit.Must(t, n.Veth("later", n, "peer"))
	wantName(t, l, indexOf(t, n, "later"), "later")
	if _, err := c.Links(); err == nil {
		t.Error("a closed Conn gave names")
	}
}

func TestLinksNeedNoPrivilege(t *testing.T) {
	lab.Require(t)
	withoutNetAdmin(t, func() {
		c, err := Dial(Config{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		l, err := c.Links()
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		if got := l.Name(1); got != "lo" {
			t.Errorf("interface 1 is called %q", got)
		}
	})
}

func TestNamesCostNoAllocation(t *testing.T) {
	n := newNet(t)
	l := linksOf(t, n)
	if a := testing.AllocsPerRun(100, func() { l.Name(1) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// The name of an interface that is deleted stays for a while, whether the kernel
// said so or a new list lacks it, unless another gets its index.
func TestDeletedLinksKeepTheirNamesForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Links
		l.apply(linkNews{all: true, changes: []linkChange{{index: 1, name: "lo"}, {index: 2, name: "veth2"}, {index: 3, name: "veth3"}, {index: 4, name: "veth4"}}})
		l.apply(linkNews{changes: []linkChange{{index: 2, gone: true}, {index: 9, gone: true}}})
		time.Sleep(keepLinks / 2)
		l.apply(linkNews{all: true, changes: []linkChange{{index: 1, name: "lo"}, {index: 4, name: "veth4"}}})
		l.apply(linkNews{changes: []linkChange{{index: 4, gone: true}, {index: 4, name: "back"}}})
		want := func(when string, names ...string) {
			t.Helper()
			for i, name := range names {
				if got := l.Name(i); got != name {
					t.Errorf("%s: interface %d is called %q, want %q", when, i, got, name)
				}
			}
		}
		want("at first", "", "lo", "veth2", "veth3", "back")
		time.Sleep(keepLinks/2 - 1)
		want("shortly before", "", "lo", "veth2", "veth3", "back")
		time.Sleep(1 * time.Nanosecond)
		want("then", "", "lo", "", "veth3", "back")
		time.Sleep(keepLinks / 2)
		want("later", "", "lo", "", "", "back")
		l.apply(linkNews{})
		if len(l.names) != 2 || len(l.gone) != 0 {
			t.Errorf("the table has %v, gone %v", l.names, l.gone)
		}
	})
}

func TestLinksOfAFakeKernelAreUnsupported(t *testing.T) {
	overTransports(t, func(k *kernel) {
		if _, err := k.conn.Links(); !errors.Is(err, errors.ErrUnsupported) {
			k.Error(err)
		}
		if _, err := k.conn.OpenProc("netlink"); !errors.Is(err, errors.ErrUnsupported) {
			k.Error(err)
		}
	})
}

func TestProcIsOfTheSocketsNamespace(t *testing.T) {
	n := newNet(t)
	testkit.Must(t, n.Veth("only-there", n, "peer"))
	f, err := dialTest(t, Config{NetNS: n.FD()}).OpenProc("dev")
	testkit.Must(t, err)
	defer f.Close()
	b := make([]byte, 1<<16)
	k, _ := f.ReadAt(b, 0)
	if !slices.Contains(strings.Fields(string(b[:k])), "only-there:") {
		t.Errorf("read %s", b[:k])
	}
	if f, err := dialTest(t, Config{}).OpenProc("no such file"); err == nil {
		f.Close()
		t.Error("opened what is not there")
	}
}

// A name has a budget of 60 ns.
func BenchmarkLinksName(b *testing.B) {
	c, err := Dial(Config{})
	testkit.Must(b, err)
	defer c.Close()
	l, err := c.Links()
	testkit.Must(b, err)
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if l.Name(1) != "lo" { // every namespace's first
			b.Fatal("wrong name")
		}
	}
}
