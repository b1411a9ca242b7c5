package engine

import (
	"errors"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// config is a request about a queue or group.
func config(resource uint16) Message {
	return Message{Type: queueConfig, Resource: resource, Attrs: goldenBindAttrs}
}

func TestRequestReturnsTheKernelsAnswer(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.answer = func(m Message) syscall.Errno {
			if m.Seq == 0 || m.Flags != FlagRequest|FlagAck {
				k.Errorf("sequence number %d, flags %#x", m.Seq, m.Flags)
			}
			return syscall.Errno(m.Resource)
		}
		k.conn.seq.Store(math.MaxUint32) // 0 comes next, which is what packets have
		if err := k.conn.Request(config(0)); err != nil {
			k.Error(err)
		}
		const busy = 16 // EBUSY, on Linux
		err := k.conn.Request(config(busy))
		var e *Error
		if !errors.As(err, &e) || e.Errno != busy || e.Type != queueConfig || e.Seq != 2 {
			k.Errorf("%#v", err)
		}
	})
}

func TestPacketsBeforeTheAnswerAreKeptInOrder(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.answer = func(m Message) syscall.Errno {
			k.packets(2, 5)
			k.deliver(append(packet(6), packet(7)...))
			return 0
		}
		k.packets(1, 1)
		if err := k.conn.Request(config(5)); err != nil {
			k.Fatal(err)
		}
		k.packets(8, 9)
		for _, tt := range []struct {
			receive     func(*Batch) error
			first, last uint32
		}{
			{k.conn.Receive, 1, 2}, {k.conn.TryReceive, 3, 4}, {k.conn.Receive, 5, 7},
		} {
			if err := tt.receive(s.batch(2)); err != nil {
				k.Fatal(err)
			}
			s.want(k, tt.first, tt.last)
		}
		for len(s.ids) < 2 { // together or not, behind the answer that kept the socket readable
			if err := k.conn.Receive(s.batch(2)); err != nil {
				k.Fatal(err)
			}
		}
		s.want(k, 8, 9)
	})
}

func TestKeptPacketsWakeAReceiver(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		k.answer = func(Message) syscall.Errno {
			k.packets(1, 3)
			return 0
		}
		<-k.conn.token // as if between two receivers
		requested := testkit.Background(func() error { return k.conn.Request(config(5)) })
		k.settle()
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.settle()
		k.conn.token <- struct{}{} // to the one that waited first
		if err := testkit.Next(k, requested); err != nil {
			k.Fatal(err)
		}
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 3)
	})
}

func TestRequestBesideAParkedReceiver(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		received := testkit.Background(func() error { return k.conn.Receive(s.batch(8)) })
		k.parked()
		k.answer = func(m Message) syscall.Errno { return syscall.Errno(m.Resource) }
		for range 10 {
			if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(config(0)) })); err != nil {
				k.Fatal(err)
			}
			if err := k.conn.Request(config(22)); !errors.Is(err, syscall.Errno(22)) {
				k.Fatal(err)
			}
		}
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		s.want(k, 1, 1)
		if n := k.asked.Load(); n != 20 {
			k.Errorf("20 requests were sent %d times", n)
		}
	})
}

// TestRequestsWhilePacketsCome is a program that is configured under load, by
// its handler between two receives and by others.
func TestRequestsWhilePacketsCome(t *testing.T) {
	overTransports(t, func(k *kernel) {
		const requests, packets = 600, 3000
		var s seen
		k.answer = func(m Message) syscall.Errno { return syscall.Errno(m.Resource) }
		request := func(n int) error {
			err := k.conn.Request(config(uint16(n % 100)))
			if n%100 == 0 && err != nil || n%100 != 0 && !errors.Is(err, syscall.Errno(n%100)) {
				k.Errorf("request %d: %v", n, err)
			}
			return err
		}
		receiver := testkit.Background(func() error {
			b := s.batch(4)
			for n := 0; ; n++ {
				if err := k.conn.Receive(b); err != nil {
					return err
				}
				if n < requests/2 {
					request(n)
				}
				if len(s.ids) >= packets {
					return nil
				}
			}
		})
		beside := testkit.Background(func() error {
			for n := range requests / 2 {
				request(n)
			}
			return nil
		})
		for id := uint32(1); id <= packets; id++ {
			k.packets(id, id)
			if id%8 == 0 {
				time.Sleep(10 * time.Microsecond) // to be received in many pieces
			}
		}
		if err := testkit.Next(k, beside); err != nil {
			k.Fatal(err)
		}
		if err := testkit.Next(k, receiver); err != nil {
			k.Fatal(err)
		}
		s.replies = nil // on a slow machine a request is repeated, and has two answers
		s.want(k, 1, packets)
	})
}

func TestRequestsAtOnceGetTheirOwnAnswers(t *testing.T) {
	overTransports(t, func(k *kernel) {
		k.answer = func(m Message) syscall.Errno { return syscall.Errno(m.Resource) }
		var ends []<-chan error
		for i := range 8 {
			ends = append(ends, testkit.Background(func() error {
				for n := range 50 {
					errno := syscall.Errno(1 + i + 8*n%64)
					if err := k.conn.Request(config(uint16(errno))); !errors.Is(err, errno) {
						k.Errorf("%v instead of %v", err, errno)
					}
				}
				return nil
			}))
		}
		for _, end := range ends {
			testkit.Next(k, end)
		}
	})
}

// TestVerdictWithTheRequestsNumberIsNotItsAnswer: verdicts are numbered by
// packet, and so have numbers that requests have too.
func TestVerdictWithTheRequestsNumberIsNotItsAnswer(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.answer = func(m Message) syscall.Errno {
			k.deliver(reply(Message{Type: queueVerdict, Seq: m.Seq}, syscall.ENOENT))
			k.deliver(reply(Message{Type: queueConfig, Seq: m.Seq + 1}, syscall.EBUSY))
			return 0
		}
		if err := k.conn.Request(config(5)); err != nil {
			k.Fatal(err)
		}
		if err := k.conn.Receive(s.batch(8)); err != nil {
			k.Fatal(err)
		}
		if len(s.replies) != 2 || s.replies[0].Errno != syscall.ENOENT || s.replies[1].Errno != syscall.EBUSY {
			k.Errorf("take saw %+v", s.replies)
		}
	})
}

func TestAnswersForNobodyAreTaken(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		k.deliver(reply(Message{Type: queueConfig, Seq: 7}, 0))
		k.deliver(goldenShort)
		k.deliver(nlmsg(16, uint16(typeError), 0, 0, 0)) // of whom?
		k.packets(1, 1)
		if err := k.conn.Receive(s.batch(8)); err != nil {
			k.Fatal(err)
		}
		if len(s.replies) != 2 || s.replies[0].Err() != nil || !errors.Is(s.replies[1].Err(), syscall.Errno(34)) {
			k.Errorf("take saw %+v", s.replies)
		}
		if len(s.errs) != 1 || s.bad[0].Type != typeError || len(s.ids) != 1 {
			k.Errorf("take saw %+v and packets %v", s.bad, s.ids)
		}
	})
}
