package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Everything happens at these.
const (
	port   = 9000
	queues = 2
	group  = 5
)

// A site is the namespace with all that runs in it.
type site struct {
	net         *lab.Net
	logged      *lab.Rule // what came in; the queue rule is the next
	passed      *lab.Rule // what was let through
	queues      *nfqueue.Queues
	reader      *nflog.Reader
	links       *nfnl.Links
	tickets     chan nfqueue.Ticket
	dropped     atomic.Uint64
	records     atomic.Uint64
	connections atomic.Uint64 // TCP ones that carried all they should

	sink     net.PacketConn // that nobody reads
	listener net.Listener

	cancel  context.CancelFunc
	traffic sync.WaitGroup // ends when cancelled
	reading sync.WaitGroup // ends later
	mu      sync.Mutex
	errs    []error
}

// newSite makes the namespace, its rules, and opens what reads from them.
func newSite() (*site, error) {
	n, err := lab.Here()
	if err != nil {
		return nil, err
	}
	s := &site{net: n, tickets: make(chan nfqueue.Ticket, 4096)}
	in, err := n.Chain(lab.Inet, lab.Input, 0)
	if err != nil {
		return nil, err
	}
	behind, err := n.Chain(lab.Inet, lab.Input, 100)
	if err != nil {
		return nil, err
	}
	if s.queues, err = nfqueue.OpenRange(nfqueue.Config{OnError: s.tell}, queues); err != nil {
		return nil, err
	}
	if s.reader, err = nflog.Open(nflog.Config{Groups: []uint16{group}, Threshold: 64, OnError: s.tell}); err != nil {
		return nil, err
	}
	if s.links, err = s.queues.Queue(0).Links(); err != nil {
		return nil, err
	}
	if s.passed, err = behind.Add(lab.DstPort(port)); err != nil {
		return nil, err
	}
	if s.logged, err = in.Add(lab.DstPort(port), lab.Log(group, "soak ", 0, 64)); err != nil {
		return nil, err
	}
	if _, err = in.Add(lab.DstPort(port), lab.Queues(0, queues)); err != nil {
		return nil, err
	}
	return s, s.listen()
}

// listen opens what packets go to.
func (s *site) listen() (err error) {
	if s.sink, err = s.net.ListenPacket("udp", fmt.Sprintf(":%d", port)); err != nil {
		return err
	}
	s.listener, err = s.net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err
}

// start starts everything.
func (s *site) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.reading.Go(s.serve)
	s.reading.Go(s.read)
	s.reading.Go(s.answer)
	s.reading.Go(s.decide)
	for _, address := range addresses {
		s.traffic.Go(func() { s.send(ctx, address) })
	}
	s.traffic.Go(func() { s.connect(ctx) })
	s.traffic.Go(func() { s.churn(ctx) })
	s.traffic.Go(func() { s.reconfigure(ctx) })
}

// fail notes an error that must not be.
func (s *site) fail(err error) {
	if err != nil {
		s.mu.Lock()
		s.errs = append(s.errs, err)
		s.mu.Unlock()
	}
}

// tell is what the library calls when something went wrong that ends nothing.
// Losses are in its counts.
func (s *site) tell(err error) {
	if lost := (*nfnl.OverrunError)(nil); !errors.As(err, &lost) {
		s.fail(err)
	}
}

// stop ends the traffic, waits until all of it is decided, and checks the sum.
func (s *site) stop() error {
	s.cancel()
	s.traffic.Wait()
	s.settle()
	for _, address := range addresses {
		s.fail(s.last(address))
	}
	s.settle()
	text, err := s.sum()
	fmt.Println(text)
	s.fail(err)
	close(s.tickets)
	s.sink.Close()
	s.listener.Close()
	s.fail(s.queues.Close())
	s.fail(s.reader.Close())
	s.fail(s.links.Close())
	s.reading.Wait()
	return errors.Join(s.errs...)
}

// settle waits until nothing moves any more.
func (s *site) settle() {
	for before := ""; ; time.Sleep(time.Second) {
		now := s.counts()
		if now == before {
			return
		}
		before = now
	}
}

// heading returns what the columns of counts are.
func (*site) heading() string {
	return "     packets      records  lost, queue  lost, socket    lost, log  connections"
}

// counts returns what has happened so far.
func (s *site) counts() string {
	q, r := s.queues.Stats(), s.reader.Stats()
	return fmt.Sprintf("%12d %12d %12d %13d %12d %12d", q.Packets, s.records.Load(), s.full(), q.Lost, r.Lost, s.connections.Load())
}

// full returns how many packets found a queue full.
func (s *site) full() (n uint64) {
	for i := range s.queues.Len() {
		k, err := s.queues.Queue(i).KernelStats()
		s.fail(err)
		n += uint64(k.Full)
	}
	return n
}

// sum returns how the packets add up, and an error if they do not.
func (s *site) sum() (string, error) {
	logged, err := s.logged.Packets()
	if err != nil {
		return "", err
	}
	passed, err := s.passed.Packets()
	if err != nil {
		return "", err
	}
	q, r := s.queues.Stats(), s.reader.Stats()
	dropped, full, records := s.dropped.Load(), s.full(), s.records.Load()
	text := fmt.Sprintf("%d packets = %d let through + %d dropped + %d lost at the socket + %d lost in the queue\n%d packets = %d logged + %d lost",
		logged, passed, dropped, q.Lost, full, logged, records, r.Lost)
	if logged != passed+dropped+q.Lost+full || logged != records+r.Lost {
		err = errors.New("that is not right")
	}
	if q.Malformed+q.Refused+q.Gone+q.Fallbacks+r.Malformed > 0 || q.Held > 0 {
		err = errors.Join(err, fmt.Errorf("stats %+v %+v", q, r))
	}
	return text, err
}
