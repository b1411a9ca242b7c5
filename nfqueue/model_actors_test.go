package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// answer is the handler of all Runs and loops.
func (x *interleaving) answer(p *nfqueue.Packet) nfqueue.Verdict {
	v := verdictOf(p.ID)
	switch {
	case x.chance(10):
		x.hold(p.Ticket())
		return nfqueue.Hold()
	case x.chance(20):
		return nfqueue.HoldFor(time.Duration(p.ID%5)*100*time.Microsecond, v)
	case x.chance(10):
		x.release()
	case x.chance(20):
		return v.WithPayload(p.Payload)
	case x.chance(50):
		time.Sleep(200 * time.Microsecond)
	}
	return v
}

// runs calls Run again and again, until the queue is closed.
func (x *interleaving) runs(n int) {
	for {
		var last uint32
		var began int
		over := func() { // the verdict on the last packet was given
			if last != 0 {
				x.gave(last, giving{began, x.tick(), n})
			}
			last = 0
		}
		ctx, cancel := context.WithCancel(context.Background())
		err := x.q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			over()
			start := x.tick()
			v := x.answer(p)
			if v.Action() != nfqueue.ActionHold {
				last, began = p.ID, start
			}
			if x.chance(40) {
				cancel()
			}
			return v
		})
		cancel()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, errSend): // what was not sent is in no order
		case errors.Is(err, context.Canceled):
			over()
		default:
			x.t.Errorf("seed %d: Run: %v", x.seed, err)
			return
		}
	}
}

// loop receives until the queue is closed.
func (x *interleaving) loop(n int) {
	for b := x.q.NewBatch(); ; {
		err := x.q.Receive(b)
		x.receives(b.Packets)
		began := x.tick()
		var ids []uint32
		for i := range b.Packets {
			b.Verdicts[i] = x.answer(&b.Packets[i])
			if b.Verdicts[i].Action() != nfqueue.ActionHold {
				ids = append(ids, b.Packets[i].ID)
			}
		}
		if err == nil {
			began = x.tick() // of Send, which gives them
			err = x.q.Send(b)
		}
		x.sends(b.Packets, n)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil && !errors.Is(err, errSend):
			x.t.Errorf("seed %d: Receive or Send: %v", x.seed, err)
			return
		case err == nil:
			ended := x.tick()
			for _, id := range ids {
				x.gave(id, giving{began, ended, n})
			}
		}
	}
}

// fail makes sends fail now and then, and the kernel refuse payloads.
func (x *interleaving) fail() {
	x.k.FailSend(func(datagram []byte) error {
		m, _, err := nfnl.Next(datagram)
		if err != nil || m.Flags&engine.FlagAck != 0 || !x.chance(60) {
			return nil // what is asked for must be answered
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.trouble = true
		return errSend
	})
	x.k.Refuse(func(m nfnl.Message) error {
		if m.Type != verdictType || len(m.Attrs) < 40 || !x.chance(3) {
			return nil
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.refused[m.Seq] = true
		return syscall.EINVAL
	})
}
