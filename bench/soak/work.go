package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// tcp is IPPROTO_TCP.
const tcp = 6

// decide runs the queues, again and again, until they are closed.
func (s *site) decide() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := s.queues.Run(ctx, s.verdict)
		cancel()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			s.fail(err)
		}
	}
}

// verdict is the handler: most packets are accepted, and the others get
// everything else that there is.
func (s *site) verdict(p *nfqueue.Packet) nfqueue.Verdict {
	if f, _ := nfnl.ParseFlow(p.Payload); f.Protocol == tcp {
		return nfqueue.Accept()
	}
	switch p.ID % 64 {
	case 0, 1, 2:
		s.dropped.Add(1)
		return nfqueue.Drop()
	case 3, 4, 5, 6:
		return nfqueue.Accept().WithMark(p.ID)
	case 7, 8:
		p.Payload[len(p.Payload)-1]++
		return nfqueue.Accept().WithPayload(p.Payload)
	case 9, 10:
		select {
		case s.tickets <- p.Ticket():
			return nfqueue.Hold()
		default: // too many are held
		}
	case 11:
		s.dropped.Add(1)
		return nfqueue.HoldFor(20*time.Millisecond, nfqueue.Drop())
	}
	return nfqueue.Accept()
}

// answer gives held packets their verdict.
func (s *site) answer() {
	for t := range s.tickets {
		s.fail(t.SetVerdict(nfqueue.Accept().WithMark(1)))
	}
}

// read reads the log until the reader is closed, in many loops.
func (s *site) read() {
	for {
		n := 0
		for p, err := range s.reader.Packets(context.Background()) {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				s.fail(err)
				break
			}
			s.links.Name(p.InDev)
			s.records.Add(1)
			if n++; n == 1000 {
				break
			}
		}
	}
}

// churn opens and closes queues and groups beside the others.
func (s *site) churn(ctx context.Context) {
	for ctx.Err() == nil {
		q, err := nfqueue.Open(nfqueue.Config{Queue: 100})
		if err == nil {
			err = q.Close()
		}
		s.fail(err)
		r, err := nflog.Open(nflog.Config{Groups: []uint16{100, 101}})
		if err == nil {
			err = r.Close()
		}
		s.fail(err)
		time.Sleep(100 * time.Millisecond)
	}
}

// reconfigure changes the queues while packets come.
func (s *site) reconfigure(ctx context.Context) {
	for copyRange := uint32(0); ctx.Err() == nil; copyRange ^= 9100 {
		for i := range s.queues.Len() {
			q := s.queues.Queue(i)
			s.fail(q.Configure(nfqueue.Config{Queue: uint16(i), CopyRange: copyRange}))
		}
		time.Sleep(time.Second)
	}
}
