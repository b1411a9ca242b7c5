package engine

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// requestPatience is how long a Request waits for another receiver to deliver its
// answer before it sends the message again. The kernel answers before send
// returns, so an answer that has not been read by then was lost.
const requestPatience = time.Second

// requestTries bounds how often a Request is sent. An answer is only lost when
// the receive buffer is full, and Request empties it.
const requestTries = 10

// errUnread is why a Request is not made, or its answer not found.
var errUnread = errors.New("the receive buffer and the memory for packets kept beside it are full: call Receive first")

var errNoAnswer = errors.New("no acknowledgement from the kernel: the receive buffer was full; try again, or raise ReadBuffer")

// A request is a message that waits for its answer.
type request struct {
	typ    Type
	seq    uint32
	port   uint32
	answer chan error // of capacity 1
	then   func()     // if not nil, called once if the answer is no error; see RequestInOrder
	seals  bool       // everything that precedes the answer is kept; see Seal
	ahead  int        // what was on the socket when it was sent, as the kernel charges it; 0 is unknown, or nothing
	read   int        // what look has read since then, as keep counts it
}

// passed reports whether everything that was on the socket when r was sent has
// been read, so that an answer which was not found was lost. The kernel charges
// at least half of what keep counts, hence the factor. If packets arrive as fast
// as they are read, nothing else ends the search.
func (r *request) passed() bool { return r != nil && r.ahead > 0 && r.read >= 2*r.ahead }

// answered reports whether the answer is there.
func (r *request) answered() bool { return r != nil && len(r.answer) > 0 }

// Request is nfnl.Conn.Request, which describes it; mostKept is the limit of the packets
// that are kept.
func (c *Conn) Request(m Message) error { return c.RequestInOrder(m, nil) }

// RequestInOrder is Request. If the kernel carries out m, the function then is called
// at the place of the answer among the messages: after take got those that the kernel
// sent before, and before it gets later ones. It must not call methods of the Conn.
func (c *Conn) RequestInOrder(m Message, then func()) error {
	return c.request(m, &request{then: then})
}

// request is RequestInOrder with the options of r.
func (c *Conn) request(m Message, r *request) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	if err := c.awaitRoom(r); err != nil {
		return err
	}
	m.Flags |= FlagRequest | FlagAck
	m.Seq = c.nextSeq()
	msg := m.Append(nil)
	r.typ, r.seq, r.port, r.answer = m.Type, m.Seq, m.PortID, make(chan error, 1)
	c.ask(r)
	defer c.forget(r)
	for start, tries := time.Now(), 0; tries < requestTries; {
		r.ahead, r.read = queued(c.t), 0
		if err := c.Send(msg); err != nil {
			return err
		}
		if err, ok := c.await(r); ok {
			return err
		}
		if !r.passed() || time.Since(start) > requestTries*requestPatience {
			tries++ // else there was no room for the answer, and reading took no time
		}
	}
	return errNoAnswer
}

// nextSeq returns the next sequence number, never 0: that is what packets have.
func (c *Conn) nextSeq() uint32 {
	for {
		if n := c.seq.Add(1); n != 0 {
			return n
		}
	}
}

// ask lets the receivers recognise the answer to r.
func (c *Conn) ask(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r)
}

// forget undoes ask.
func (c *Conn) forget(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = slices.DeleteFunc(c.asked, func(a *request) bool { return a == r })
}

// answer gives m to the request that it answers, and reports whether there is one.
func (c *Conn) answer(m Message) bool {
	reply, ok := m.Reply()
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.asked {
		if r.typ == reply.Type && r.seq == reply.Seq && r.port == reply.PortID {
			err := reply.Err()
			if err == nil {
				c.mark(r)
			}
			select {
			case r.answer <- err:
			default: // the answer to a repetition
			}
			return true
		}
	}
	return reply.Type == typeNoop && reply.PortID == wakePort
}

// mark calls r's function, once everything that is kept has been delivered. The lock
// is held.
func (c *Conn) mark(r *request) {
	then := r.then
	r.then = nil
	switch {
	case then == nil:
	case len(c.kept) == 0:
		then()
	default:
		last := &c.kept[len(c.kept)-1]
		if earlier := last.after; earlier != nil {
			last.after = func() { earlier(); then() }
		} else {
			last.after = then
		}
	}
}

// await waits for the answer to r, or for the right to look for it. It returns
// false if the answer was lost.
func (c *Conn) await(r *request) (error, bool) {
	for {
		select {
		case err := <-r.answer:
			return err, true
		case <-c.closed:
			return net.ErrClosed, true
		case <-time.After(requestPatience):
			return nil, false
		case <-c.token:
		}
		err := c.look(r)
		if err == nil {
			err = c.wake()
		}
		c.putBack()
		switch {
		case r.answered():
		case err == nil && r.seals && r.passed():
			return nil, true // everything that preceded is kept, which is its purpose
		case err == errUnread: // the answer follows what is still on the socket
			if err := c.awaitReceived(r); err != nil {
				return err, true
			}
		default:
			return err, err != nil
		}
	}
}

// awaitReceived waits until kept packets were received, so that there is room to look
// for the answer to r, or until the answer was received.
func (c *Conn) awaitReceived(r *request) error {
	most := c.mostKept()
	return c.whileReceived(func() bool { return r.answered() || c.keptBytes() < most })
}

// readerPatience is how long a Request waits for the next receive of a program
// that has received before, and may be busy with those packets.
const readerPatience = 5 * time.Second

// whileReceived waits until done is true. It gives up if nobody receives.
func (c *Conn) whileReceived(done func() bool) error {
	for since, last := time.Now(), c.receives.Load(); !done(); time.Sleep(time.Millisecond) {
		patience := requestPatience
		if last > 0 {
			patience = readerPatience
		}
		switch now := c.receives.Load(); {
		case c.isClosed():
			return net.ErrClosed
		case now != last:
			since, last = time.Now(), now
		case time.Since(since) > patience:
			return errUnread
		}
	}
	return nil
}

// look reads what is on the socket, without waiting, until it finds the answer to
// r, if that is not nil: answers are passed to their requests, and datagrams with
// anything else in them are kept. If the answer was lost, look ends once it has
// read what was there when r was sent, or after requestPatience. It returns
// errUnread when no more may be kept, unless LoseUnread was called.
func (c *Conn) look(r *request) error {
	a := asides.Get().(*aside)
	defer asides.Put(a)
	b := a.batch
	most := c.mostKept()
	for start := time.Now(); !r.answered() && !r.passed() && time.Since(start) < requestPatience; {
		b.reset()
		full := c.keptBytes() >= most && !c.keepsAll(r)
		if full && !c.lossy.Load() {
			return errUnread
		}
		if err := c.check(c.t.receive(b, false)); err != nil {
			return err
		}
		if b.n == 0 {
			return nil
		}
		if r != nil {
			r.read += b.slots[0].cost()
		}
		a.news = false
		if b.deliver(c); a.news && !full {
			c.keep(b.slots[0])
		}
	}
	return nil
}

// An aside has the buffer that look reads into. It is large, and so used again.
type aside struct {
	batch *Batch
	news  bool // there is something for the next Receive
}

var asides = sync.Pool{New: func() any {
	a := new(aside)
	a.batch = NewBatch(1, maxDatagram, func(Message, error) { a.news = true })
	return a
}}

// maxDatagram is longer than any datagram of the kernel: the longest seen is
// one of NFLOG with a buffer of 128 KiB, 261,008 bytes.
const maxDatagram = 264 << 10
