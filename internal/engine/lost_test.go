package engine

import (
	"encoding/binary"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestLostAnswersAreAskedForAgain(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.lose.Store(3)
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(config(5)) })); err != nil {
			k.Fatal(err)
		}
		if n := k.asked.Load(); n != 4 {
			k.Errorf("sent %d times, to lose 3 answers", n)
		}
	})
}

func TestRequestGivesUpOnAKernelThatNeverAnswers(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.lose.Store(math.MaxInt32)
		err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(config(5)) }))
		if err != errNoAnswer || k.asked.Load() != requestTries {
			k.Errorf("%v after %d times", err, k.asked.Load())
		}
	})
}

// Beside a receiver it takes longer, for the answer might be on its way.
func TestRequestGivesUpBesideAReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{T: t}
		k.lose.Store(2)
		k.start(newMemory(k.handle))
		received := make(chan error)
		go func() { received <- k.conn.Receive(new(seen).batch(1)) }()
		synctest.Wait()
		start := time.Now()
		if err := k.conn.Request(config(5)); err != nil || time.Since(start) != 2*requestPatience {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		k.lose.Store(math.MaxInt32)
		synctest.Wait() // until the receiver waits again: else Request need not wait for it
		start = time.Now()
		if err := k.conn.Request(config(5)); err != errNoAnswer || time.Since(start) != requestTries*requestPatience {
			t.Errorf("%v after %v", err, time.Since(start))
		}

		synctest.Wait()
		start = time.Now()
		requested := make(chan error)
		go func() { requested <- k.conn.Request(config(5)) }()
		synctest.Wait()
		k.conn.Close()
		if err := <-requested; err != net.ErrClosed || time.Since(start) != 0 {
			t.Errorf("closed: %v after %v", err, time.Since(start))
		}
		<-received
	})
}

// An endless transport has another packet whenever it is asked, and answers
// among them.
type endless struct {
	transport
	asked Message
	n     uint32
}

func (e *endless) send(msgs []byte, _ bool) error {
	m, _, err := Next(msgs)
	e.asked = m
	return err
}

func (e *endless) receive(b *Batch, wait bool) error {
	for i := range b.slots {
		e.n++
		b.slots[i].got = packet(e.n)
		if e.n == 100 {
			b.slots[i].got = reply(e.asked, 0)
		}
	}
	b.n = len(b.slots)
	return nil
}

func TestRequestEndsAlthoughPacketsDoNot(t *testing.T) {
	m, _ := newMemory(nil)
	e := &endless{transport: m}
	c := newConn(e)
	if err := c.Request(config(5)); err != nil {
		t.Fatal(err)
	}
	if e.n > 110 {
		t.Errorf("the answer was the 100th datagram, and %d were read", e.n)
	}
	var ids []uint32
	b := NewBatch(99, 256, func(m Message, err error) { ids = append(ids, binary.BigEndian.Uint32(m.Attrs[4:])) })
	if err := c.Receive(b); err != nil || len(ids) != 99 || ids[98] != 99 {
		t.Errorf("%v, packets %v", err, ids)
	}
}
