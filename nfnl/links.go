package nfnl

import (
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Links names network interfaces by their index, from a table that the kernel
// keeps current. It costs no system call a packet. Nil and the zero Links name
// none.
//
// When the kernel had more news than found room the table is read anew, which
// takes descriptors: if there are none left, names stay as they were, until
// there are.
type Links struct {
	names  atomic.Pointer[map[int]string] // never changed, only replaced
	watch  watch
	ending chan struct{} // closed by Close
	done   chan struct{} // closed when the goroutine has ended
	close  sync.Once
}

// A watch is told of interfaces by the kernel.
type watch interface {
	// next waits for news and applies it to names, or reads all names anew. After
	// an error it can be called again, and misses nothing then.
	next(names map[int]string) (map[int]string, error)

	// end makes next fail.
	end() error
}

// Links returns a table of the interfaces in the socket's network namespace. It
// runs a goroutine until Close. It needs no privilege, but CAP_NET_ADMIN and
// CAP_SYS_ADMIN where the socket is in another namespace than the program.
func (c *Conn) Links() (*Links, error) {
	if c.never() {
		return nil, net.ErrClosed
	}
	w, names, err := watchLinks(c.t)
	if err != nil {
		return nil, c.check(explainDescriptors(err))
	}
	return follow(w, names), nil
}

// follow returns a table that begins with names and goes on with what w hears.
func follow(w watch, names map[int]string) *Links {
	l := &Links{watch: w, ending: make(chan struct{}), done: make(chan struct{})}
	l.names.Store(&names)
	go l.follow()
	return l
}

// retryLinks is the time between attempts to read names that could not be read.
const retryLinks = 100 * time.Millisecond

// follow applies what the kernel says until Close.
func (l *Links) follow() {
	defer close(l.done)
	for {
		names, err := l.watch.next(maps.Clone(*l.names.Load()))
		if err == nil {
			l.names.Store(&names)
			continue
		}
		select {
		case <-l.ending:
			return
		case <-time.After(retryLinks):
		}
	}
}

// Name returns the name of the interface with an index, or "" if there is none:
// index 0, which packets have for an interface that is not known, never is.
func (l *Links) Name(index int) string {
	if l == nil {
		return ""
	}
	if names := l.names.Load(); names != nil {
		return (*names)[index]
	}
	return ""
}

// Close ends the goroutine. The names stay as they are then. Closing again does
// nothing.
func (l *Links) Close() error {
	if l == nil || l.watch == nil {
		return nil
	}
	var err error
	l.close.Do(func() {
		close(l.ending)
		err = l.watch.end()
		<-l.done
	})
	return err
}
