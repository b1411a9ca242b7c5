//go:build linux

// Demo shows nfpacket at work on real packets of the running kernel:
//
//	go run ./examples/demo
//
// It needs no root and touches nothing of the host: it makes three network
// namespaces, a client, a gateway and a server, and has the gateway decide on
// every packet between them. Each line is one packet; the end accounts for all
// of them, and the exit status is 1 if one is missing.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	err := lab.Enter() // from here on in a namespace of our own
	if err == nil {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run builds the network, sends the messages and accounts for them.
func run() error {
	n, err := newNetwork()
	if err != nil {
		return err
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: queueNum})
	if err != nil {
		return err
	}
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{logGroup}})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := n.addRules(); err != nil {
		return err
	}
	if err := n.serve(); err != nil {
		return err
	}

	g := &gateway{names: deviceNames(), tally: map[string]uint64{}}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var queueErr, logErr error
	running.Go(func() { queueErr = q.Run(ctx, g.decide) })
	running.Go(func() { logErr = g.readLog(r) })

	for _, note := range n.notes {
		fmt.Println(note)
	}
	g.printHeader()
	failures := n.send()
	n.settle(g)
	stop()
	if err := r.Shutdown(context.Background()); err != nil { // once the log has all that was collected
		return err
	}
	running.Wait()
	if queueErr != context.Canceled || !errors.Is(logErr, net.ErrClosed) {
		return fmt.Errorf("the queue ended with %v, the log with %v", queueErr, logErr)
	}
	g.printLog()
	return n.account(g, q.Stats(), r.Stats(), failures)
}

// send sends all messages, one after the other, and returns what went wrong.
func (n *network) send() (failures []string) {
	for _, m := range n.messages() {
		reply, err := m.send()
		if err != nil || reply != m.want {
			failures = append(failures, fmt.Sprintf("%s: answered %q, %v; want %q", m.name, reply, err, m.want))
		}
	}
	return failures
}

// settle waits until the last packets, those that close TCP connections, have
// come by: the rules' counters stand still and the gateway has caught up.
func (n *network) settle(g *gateway) {
	var last uint64
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		met, err := count(n.queued)
		if err != nil || met == last && met == g.decided() {
			return
		}
		last = met
	}
}

// A gateway decides on packets and keeps count.
type gateway struct {
	names deviceTable

	mu    sync.Mutex
	n     uint64
	tally map[string]uint64 // by what was decided
	log   []string          // lines of logged packets
}

// decide is the handler: a pure function of the packet but for the printing.
func (g *gateway) decide(p *nfqueue.Packet) nfqueue.Verdict {
	v, what := judge(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	g.tally[what]++
	g.printPacket(p, what, v)
	return v
}

// judge returns the verdict on p and a word for it.
func judge(p *nfqueue.Packet) (nfqueue.Verdict, string) {
	flow, ok := nfnl.ParseFlow(p.Payload)
	if !ok {
		return nfqueue.Drop(), "dropped"
	}
	switch flow.Dst.Port() {
	case dropPort:
		return nfqueue.Drop(), "dropped"
	case markPort:
		return nfqueue.Accept().WithMark(demoMark), "marked"
	case upperPort:
		longer := bytes.Replace(p.Payload, []byte("hello"), []byte("HELLO, WORLD"), 1)
		return nfqueue.Accept().WithPayload(longer), "rewritten"
	}
	return nfqueue.Accept(), "accepted"
}

// decided returns how many packets have been decided on.
func (g *gateway) decided() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// readLog collects the lines of logged packets, until the log is shut down.
func (g *gateway) readLog(r *nflog.Reader) error {
	for p, err := range r.Packets(context.Background()) {
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.log = append(g.log, g.logLine(p))
		g.mu.Unlock()
	}
	return nil
}
