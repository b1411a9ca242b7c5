//go:build linux

package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// newNet returns a namespace that ends with the test.
func newNet(t *testing.T) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// linksOf returns the names in a namespace.
func linksOf(t *testing.T, n *lab.Net) *Links {
	t.Helper()
	l, err := dialTest(t, Config{NetNS: n.FD()}).Links()
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// wantName waits until the kernel has told of a name.
func wantName(t *testing.T, l *Links, index int, want string) {
	t.Helper()
	for end := time.Now().Add(soon); l.Name(index) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("interface %d is called %q, want %q", index, l.Name(index), want)
		}
	}
}

// indexOf returns the index of a device.
func indexOf(t *testing.T, n *lab.Net, name string) int {
	t.Helper()
	index, err := n.Index(name)
	must(t, err)
	return index
}

func TestLinksKnowNamesAtOnce(t *testing.T) {
	n := newNet(t)
	must(t, n.Veth("left", n, "right"))
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
	must(t, n.Veth("new", n, "peer"))
	index, peer := indexOf(t, n, "new"), indexOf(t, n, "peer")
	wantName(t, l, index, "new")
	must(t, n.Rename("new", "renamed"))
	wantName(t, l, index, "renamed")
	must(t, n.DelLink("renamed"))
	wantName(t, l, index, "")
	wantName(t, l, peer, "")

	// One end in another namespace is not ours.
	must(t, n.Veth("here", other, "there"))
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
	must(t, n.Bridge("br0"))
	must(t, n.Veth("port", n, "peer"))
	index := indexOf(t, n, "port")
	must(t, n.SetMaster("port", "br0"))
	must(t, n.SetMaster("port", ""))
	must(t, n.Rename("port", "free")) // comes after all that
	wantName(t, l, index, "free")
	must(t, n.DelLink("br0"))
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
	must(t, err)
	defer l.Close()
	must(t, c.Close())
	must(t, n.Veth("later", n, "peer"))
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

// When events were lost the names are read anew, and events from before that do
// not undo it.
func TestLinksSurviveTheLossOfEvents(t *testing.T) {
	n := newNet(t)
	must(t, n.Veth("name0", n, "peer"))
	index := indexOf(t, n, "name0")
	c := dialTest(t, Config{NetNS: n.FD()})
	watch, names, err := watchLinks(c.t)
	must(t, err)
	w := watch.(*linkWatch)
	defer w.end()
	must(t, w.conn.SetReadBuffer(4096))
	const renames = 30
	for i := range renames {
		must(t, n.Rename(fmt.Sprintf("name%d", i), fmt.Sprintf("name%d", i+1)))
	}
	last := fmt.Sprintf("name%d", renames)
	names, err = w.next(names)
	must(t, err)
	if names[index] != last {
		t.Errorf("at once it is called %q, want %q", names[index], last)
	}
	must(t, n.Veth("sentinel", n, "other"))
	sentinel := indexOf(t, n, "sentinel")
	for names[sentinel] != "sentinel" {
		names, err = w.next(names)
		must(t, err)
	}
	if names[index] != last {
		t.Errorf("later it is called %q, want %q", names[index], last)
	}
}

// A failing is a watch that tells of its errors.
type failing struct {
	watch
	errs chan error
}

func (f failing) next(names map[int]string) (map[int]string, error) {
	names, err := f.watch.next(names)
	if err != nil {
		select {
		case f.errs <- err:
		default:
		}
	}
	return names, err
}

// Names that cannot be read anew, for want of a descriptor, stay as they are and
// are read later.
func TestLinksOutliveTheLackOfDescriptors(t *testing.T) {
	n := newNet(t)
	must(t, n.Veth("name0", n, "peer"))
	index := indexOf(t, n, "name0")
	c := dialTest(t, Config{NetNS: n.FD()})
	w, names, err := watchLinks(c.t)
	must(t, err)
	must(t, w.(*linkWatch).conn.SetReadBuffer(4096))
	const renames = 30 // more than have room
	for i := range renames {
		must(t, n.Rename(fmt.Sprintf("name%d", i), fmt.Sprintf("name%d", i+1)))
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	restore := func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	defer restore()

	f := failing{w, make(chan error, 1)}
	l := follow(f, names)
	defer l.Close()
	for range 2 { // it is tried again, and fails again
		select {
		case err := <-f.errs:
			if !errors.Is(err, unix.EMFILE) {
				t.Errorf("got %v", err)
			}
		case <-time.After(soon):
			t.Fatal("it was not tried")
		}
	}
	if got := l.Name(index); got != "name0" {
		t.Errorf("meanwhile it is called %q", got)
	}
	restore()
	wantName(t, l, index, fmt.Sprintf("name%d", renames))
	must(t, n.Rename(fmt.Sprintf("name%d", renames), "last"))
	wantName(t, l, index, "last")
}

// Close does not wait for names that can never be read.
func TestLinksThatFailCanBeClosed(t *testing.T) {
	n := newNet(t)
	w, names, err := watchLinks(dialTest(t, Config{NetNS: n.FD()}).t)
	must(t, err)
	f := failing{w, make(chan error, 1)}
	must(t, w.(*linkWatch).conn.Close())
	l := follow(f, names)
	<-f.errs
	if err := l.Close(); err != nil {
		t.Error(err)
	}
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
		names := map[int]string{1: "lo", 2: "eth0"}
		applyLinks(names, []netlink.Message{{Header: netlink.Header{Type: netlink.HeaderType(typ)}, Data: data}})
		if !slices.Equal(data, before) {
			t.Fatal("input was written to")
		}
		index := 0
		if len(data) >= unix.SizeofIfInfomsg {
			index = int(int32(binary.NativeEndian.Uint32(data[4:])))
		}
		for i, name := range map[int]string{1: "lo", 2: "eth0"} {
			if names[i] != name && i != index {
				t.Errorf("interface %d is called %q, and the message is of %d", i, names[i], index)
			}
		}
		for i, name := range names {
			if i > 2 && i != index || strings.Contains(name, "\x00") {
				t.Errorf("interface %d is called %q, and the message is of %d", i, name, index)
			}
		}
		if typ != unix.RTM_NEWLINK && typ != unix.RTM_DELLINK && len(names) != 2 {
			t.Errorf("message type %d left %v", typ, names)
		}
	})
}

func TestLinkMessagesThatAreNone(t *testing.T) {
	names := map[int]string{1: "lo", 2: "eth0"}
	info := func(family uint8, index int32, attrs ...any) []byte {
		return wire(append([]any{family, uint8(0), uint16(1), index, uint32(0), uint32(0)}, attrs...)...)
	}
	message := func(typ netlink.HeaderType, data []byte) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: typ}, Data: data}
	}
	applyLinks(names, []netlink.Message{
		message(unix.RTM_NEWLINK, nil),
		message(unix.RTM_NEWLINK, info(0, 1)[:15]),
		message(unix.RTM_NEWLINK, info(0, 1)), // without a name
		message(unix.RTM_NEWLINK, info(0, 1, uint16(200), uint16(unix.IFLA_IFNAME), "x")),
		message(unix.RTM_DELLINK, info(unix.AF_BRIDGE, 2)),
		message(unix.RTM_NEWADDR, info(0, 2)),
		message(unix.RTM_NEWLINK, info(0, 3, uint16(8), uint16(unix.IFLA_IFNAME), "new\x00")),
	})
	if want := map[int]string{1: "lo", 2: "eth0", 3: "new"}; fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", names, want)
	}
	applyLinks(names, []netlink.Message{message(unix.RTM_DELLINK, info(0, 2))})
	if _, ok := names[2]; ok {
		t.Error("it was not deleted")
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
	must(t, n.Veth("only-there", n, "peer"))
	f, err := dialTest(t, Config{NetNS: n.FD()}).OpenProc("dev")
	must(t, err)
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
	must(b, err)
	defer c.Close()
	l, err := c.Links()
	must(b, err)
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if l.Name(1) != "lo" { // every namespace's first
			b.Fatal("wrong name")
		}
	}
}
