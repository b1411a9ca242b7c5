package engine

import (
	"net"
	"sync"
	"time"
)

// Links maps the indexes of network interfaces to their names. It is nfnl.Links, which
// describes it.
type Links struct {
	mu    sync.RWMutex // guards what follows
	names map[int]linkName
	gone  []int // indexes of interfaces that were deleted, in that order

	watch  watch
	ending chan struct{} // closed by Close
	done   chan struct{} // closed when the goroutine has ended
	close  sync.Once
}

// keepLinks is how long the name of an interface outlives it.
const keepLinks = 10 * time.Second

// A linkName is an interface of the table.
type linkName struct {
	name  string
	until time.Time // when a name that is no more ends; zero while it is in use
}

// A linkChange is what the kernel reports of an interface: its name, or that it was
// deleted.
type linkChange struct {
	index int
	name  string
	gone  bool
}

// linkNews are changes in their order. With all they name every interface.
type linkNews struct {
	changes []linkChange
	all     bool
}

// A watch receives what the kernel reports of interfaces.
type watch interface {
	// next waits for news, or lists all interfaces. After an error it can be called
	// again, and misses nothing then.
	next() (linkNews, error)

	// end makes next fail.
	end() error
}

// Links returns a table of the interfaces in the socket's network namespace: see
// nfnl.Conn.Links.
func (c *Conn) Links() (*Links, error) {
	if c.never() {
		return nil, net.ErrClosed
	}
	w, all, err := watchLinks(c.t)
	if err != nil {
		return nil, c.check(explainDescriptors(err))
	}
	return follow(w, all), nil
}

// follow returns a table that begins with all and follows the notifications of w.
func follow(w watch, all linkNews) *Links {
	l := &Links{watch: w, ending: make(chan struct{}), done: make(chan struct{})}
	l.apply(all)
	go l.follow()
	return l
}

// retryLinks is the time between attempts to read names that could not be read.
const retryLinks = 100 * time.Millisecond

// follow applies the kernel's notifications until Close.
func (l *Links) follow() {
	defer close(l.done)
	for {
		news, err := l.watch.next()
		if err == nil {
			l.apply(news)
			continue
		}
		select {
		case <-l.ending:
			return
		case <-time.After(retryLinks):
		}
	}
}

// apply changes the table.
func (l *Links) apply(news linkNews) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil {
		l.names = make(map[int]linkName, len(news.changes))
	}
	now := time.Now()
	l.forget(now)
	if news.all {
		l.removeAllBut(news.changes, now)
	}
	for _, c := range news.changes {
		if c.gone {
			l.remove(c.index, now)
		} else {
			l.names[c.index] = linkName{name: c.name}
		}
	}
}

// removeAllBut removes the interfaces that are not among present.
func (l *Links) removeAllBut(present []linkChange, now time.Time) {
	is := make(map[int]bool, len(present))
	for _, c := range present {
		is[c.index] = true
	}
	for index := range l.names {
		if !is[index] {
			l.remove(index, now)
		}
	}
}

// remove notes that an interface was deleted.
func (l *Links) remove(index int, now time.Time) {
	n, ok := l.names[index]
	if !ok || !n.until.IsZero() {
		return
	}
	n.until = now.Add(keepLinks)
	l.names[index] = n
	l.gone = append(l.gone, index)
}

// forget deletes names that have been kept long enough. Since all are kept equally
// long, those are the first in gone.
func (l *Links) forget(now time.Time) {
	for len(l.gone) > 0 {
		n := l.names[l.gone[0]]
		if n.until.After(now) {
			return
		}
		if !n.until.IsZero() { // else it is back
			delete(l.names, l.gone[0])
		}
		l.gone = l.gone[1:]
	}
}

// Name returns the name of the interface with an index, or "" if there is none:
// index 0, which packets have for an interface that is not known, never is.
func (l *Links) Name(index int) string {
	if l == nil {
		return ""
	}
	l.mu.RLock()
	n := l.names[index]
	l.mu.RUnlock()
	if !n.until.IsZero() && !time.Now().Before(n.until) {
		return ""
	}
	return n.name
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
