//go:build linux

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

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
