//go:build linux

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

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

// renamed returns a watch of n that has lost the news of names that name0 has had
// since. Of the last it has heard neither.
func renamed(t *testing.T, n *lab.Net) (w *linkWatch, all linkNews, index int, last string) {
	t.Helper()
	testkit.Must(t, n.Veth("name0", n, "peer"))
	index = indexOf(t, n, "name0")
	watch, all, err := watchLinks(dialTest(t, Config{NetNS: n.FD()}).t)
	testkit.Must(t, err)
	w = watch.(*linkWatch)
	testkit.Must(t, w.events.SetReadBuffer(4096))
	const renames = 30 // more than have room
	for i := range renames {
		testkit.Must(t, n.Rename(fmt.Sprintf("name%d", i), fmt.Sprintf("name%d", i+1)))
	}
	return w, all, index, fmt.Sprintf("name%d", renames)
}

// When events were lost the names are read anew, and events from before that do
// not undo it.
func TestLinksSurviveTheLossOfEvents(t *testing.T) {
	n := newNet(t)
	w, all, index, last := renamed(t, n)
	defer w.end()
	var l Links
	l.apply(all)
	news, err := w.next()
	testkit.Must(t, err)
	if l.apply(news); l.Name(index) != last {
		t.Errorf("at once it is called %q, want %q", l.Name(index), last)
	}
	testkit.Must(t, n.Veth("sentinel", n, "other"))
	for sentinel := indexOf(t, n, "sentinel"); l.Name(sentinel) != "sentinel"; {
		news, err := w.next()
		testkit.Must(t, err)
		l.apply(news)
	}
	if l.Name(index) != last {
		t.Errorf("later it is called %q, want %q", l.Name(index), last)
	}
}

// A failing is a watch that tells of its errors.
type failing struct {
	watch
	errs chan error
}

func (f failing) next() (linkNews, error) {
	news, err := f.watch.next()
	if err != nil {
		select {
		case f.errs <- err:
		default:
		}
	}
	return news, err
}

// Names are read anew also where there are no descriptors left.
func TestLinksNeedNoDescriptorsLater(t *testing.T) {
	n := newNet(t)
	w, all, index, last := renamed(t, n)
	var limit unix.Rlimit
	testkit.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	defer func() { testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	l := follow(w, all)
	defer l.Close()
	wantName(t, l, index, last)
}

// Names that cannot be read stay as they are, and are read later.
func TestLinksAreReadAgainAfterAnError(t *testing.T) {
	n := newNet(t)
	w, all, index, last := renamed(t, n)
	testkit.Must(t, w.ask.SetReadDeadline(time.Unix(1, 0)))
	f := failing{w, make(chan error, 1)}
	l := follow(f, all)
	defer l.Close()
	for range 2 { // it is tried again, and fails again
		select {
		case err := <-f.errs:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		case <-time.After(testkit.Patience):
			t.Fatal("it was not tried")
		}
	}
	if got := l.Name(index); got != "name0" {
		t.Errorf("meanwhile it is called %q", got)
	}
	testkit.Must(t, w.ask.SetReadDeadline(time.Time{}))
	wantName(t, l, index, last)
	testkit.Must(t, n.Rename(last, "last"))
	wantName(t, l, index, "last")
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

// Close does not wait for names that can never be read.
func TestLinksThatFailCanBeClosed(t *testing.T) {
	n := newNet(t)
	w, all, err := watchLinks(dialTest(t, Config{NetNS: n.FD()}).t)
	testkit.Must(t, err)
	f := failing{w, make(chan error, 1)}
	testkit.Must(t, w.(*linkWatch).events.Close())
	l := follow(f, all)
	<-f.errs
	l.Close() // says that one socket was closed already
	if got := l.Name(1); got != "lo" {
		t.Errorf("interface 1 is called %q", got)
	}
}

// Whatever the kernel says of interfaces, names are of indexes that messages
// have, end before a zero byte, and others stay.
func FuzzLinks(f *testing.F) {
	info := func(family uint8, index int32, attrs ...any) []byte {
		return wire(append([]any{family, uint8(0), uint16(1), index, uint32(0), uint32(0)}, attrs...)...)
	}
	for _, data := range [][]byte{
		nil,
		info(0, 1),
		info(0, 1)[:15],
		info(0, 3, uint16(8), uint16(unix.IFLA_IFNAME), "new\x00"),
		info(0, 3, uint16(200), uint16(unix.IFLA_IFNAME), "x"),
		info(unix.AF_BRIDGE, 2),
	} {
		f.Add(uint16(unix.RTM_NEWLINK), data)
		f.Add(uint16(unix.RTM_DELLINK), data)
	}
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		before := slices.Clone(data)
		var l Links
		l.apply(linkNews{changes: []linkChange{{index: 1, name: "lo"}, {index: 2, name: "eth0"}}})
		var news linkNews
		news.add(typ, data)
		l.apply(news)
		if !slices.Equal(data, before) {
			t.Fatal("input was written to")
		}
		index := 0
		if len(data) >= unix.SizeofIfInfomsg {
			index = int(int32(binary.NativeEndian.Uint32(data[4:])))
		}
		for i, name := range map[int]string{1: "lo", 2: "eth0"} {
			if l.Name(i) != name && i != index {
				t.Errorf("interface %d is called %q, and the message is of %d", i, l.Name(i), index)
			}
		}
		for i, n := range l.names {
			if i > 2 && i != index || strings.Contains(n.name, "\x00") {
				t.Errorf("interface %d is called %q, and the message is of %d", i, n.name, index)
			}
		}
		if typ != unix.RTM_NEWLINK && typ != unix.RTM_DELLINK && len(news.changes) != 0 {
			t.Errorf("message type %d left %v", typ, news)
		}
	})
}

func TestLinkMessagesThatAreNone(t *testing.T) {
	info := func(family uint8, index int32, attrs ...any) []byte {
		return wire(append([]any{family, uint8(0), uint16(1), index, uint32(0), uint32(0)}, attrs...)...)
	}
	var news linkNews
	news.add(unix.RTM_NEWLINK, nil)
	news.add(unix.RTM_NEWLINK, info(0, 1)[:15])
	news.add(unix.RTM_NEWLINK, info(0, 1)) // without a name
	news.add(unix.RTM_NEWLINK, info(0, 1, uint16(200), uint16(unix.IFLA_IFNAME), "x"))
	news.add(unix.RTM_DELLINK, info(unix.AF_BRIDGE, 2))
	news.add(unix.RTM_NEWADDR, info(0, 2))
	if news.changes != nil {
		t.Errorf("got %v", news.changes)
	}
	news.add(unix.RTM_NEWLINK, info(0, 3, uint16(8), uint16(unix.IFLA_IFNAME), "new\x00"))
	news.add(unix.RTM_DELLINK, info(0, 2))
	if want := []linkChange{{index: 3, name: "new"}, {index: 2, gone: true}}; !slices.Equal(news.changes, want) {
		t.Errorf("got %v, want %v", news.changes, want)
	}
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
