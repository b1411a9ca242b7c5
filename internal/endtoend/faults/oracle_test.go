//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

var oracleTime = flag.Duration("oracle", 3*time.Second, "for how long TestOracle sends traffic")

// streams sends data over TCP connections, which must come back as it was.
func (o *oracle) streams(n *lab.Net, address string) error {
	for !o.done.Load() {
		var c net.Conn
		err := n.Do(func() (err error) {
			c, err = net.DialTimeout("tcp", address, testkit.Patience)
			return err
		})
		if err != nil {
			return err
		}
		data := bytes.Repeat([]byte(fmt.Sprint(rand.Uint64())), 1000+rand.IntN(20000))
		c.SetDeadline(time.Now().Add(testkit.Patience))
		go c.Write(data)
		got := make([]byte, len(data))
		_, err = io.ReadFull(c, got)
		c.Close()
		if err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("a stream of %d bytes: %w", len(data), errors.Join(err, errWrongData))
		}
	}
	return nil
}

var errWrongData = errors.New("other data came back")

// decide runs the queue until it is closed: by Run, which ends and begins, and by a
// Receive loop, in turn.
func (o *oracle) decide() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rand.IntN(20))*time.Millisecond)
		err := o.queue.Run(ctx, o.handle)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			unless(o.t, "Run", err, net.ErrClosed)
			return
		}
		b := o.queue.NewBatch()
		for range 20 {
			if err = o.queue.TryReceive(b); err != nil {
				break
			}
			for i := range b.Packets {
				b.Verdicts[i] = o.handle(&b.Packets[i])
			}
		}
		if err = errors.Join(err, o.queue.Send(b)); err != nil {
			unless(o.t, "Receive", err, net.ErrClosed)
			return
		}
	}
}

// Traffic of every kind, each with a verdict of its own, while the queue is
// configured and Runs come and go: every packet fares as its verdict says, and
// Shutdown leaves none.
func TestOracle(t *testing.T) {
	n := endtoend.NewNet(t)
	var reported testkit.Errors
	o := &oracle{t: t, tickets: make(chan nfqueue.Ticket, 1000)}
	// A busy machine lets packets expire late, and more are held than usual.
	cfg := nfqueue.Config{Queue: 0, OnError: reported.Add, MaxHeld: 1 << 16, MaxHeldBytes: 1 << 30}
	o.queue = endtoend.OpenQueue(t, n, cfg)
	second := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 1, OnError: reported.Add})
	rule := endtoend.AddRule(t, n, lab.Inet, lab.Input, lab.NotMark(oracleRepeated), lab.Queue(0))
	marked := oracleMarks(t, n)
	var receivers, senders, others sync.WaitGroup
	for i, k := range o.kinds() {
		f := &flow{flowKind: k}
		f.to, f.from = endtoend.UDPPair(t, n, k.network, net.JoinHostPort(k.host, fmt.Sprint(oraclePort+i)))
		o.flows = append(o.flows, f)
	}
	for _, f := range o.flows {
		receivers.Go(func() { o.receive(f) })
		senders.Go(func() { o.send(f) })
	}
	echo, err := n.Listen("tcp", "127.0.0.1:9099")
	testkit.Must(t, err)
	defer echo.Close()
	go echoAll(echo)
	senders.Go(func() { unless(t, "TCP", o.streams(n, "127.0.0.1:9099")) })
	endtoend.RunQueue(t, second, endtoend.Accept)
	var runs sync.WaitGroup
	runs.Go(o.decide)
	for range 2 {
		others.Go(func() {
			for ticket := range o.tickets {
				if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
					t.Errorf("a held packet: %v", err)
				}
			}
		})
	}
	for i, end := 0, time.Now().Add(*oracleTime); time.Now().Before(end) && !t.Failed(); i++ {
		cfg.CopyRange = 65000 + uint32(i%500)
		testkit.Must(t, o.queue.Configure(cfg))
		time.Sleep(time.Millisecond)
	}
	o.done.Store(true)
	senders.Wait()
	for _, f := range o.flows {
		testkit.Await(t, f.name, func() bool { return f.settled.Load() == f.sent.Load() })
	}
	testkit.Must(t, rule.Delete()) // what TCP still says after its end would come too late
	testkit.Must(t, endtoend.Shutdown(o.queue))
	runs.Wait()
	close(o.tickets)
	others.Wait()
	for _, f := range o.flows {
		f.to.Close()
		t.Logf("%s: %d packets", f.name, f.sent.Load())
		if f.name == "mark" {
			endtoend.WantPackets(t, marked, uint64(f.sent.Load()))
		}
	}
	receivers.Wait()
	reported.WantNoneBut(t, nfqueue.ErrExpired)
	if s := o.queue.Stats(); s.Lost+s.Gone+s.Refused+s.Fallbacks+s.Malformed != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// oracleMarks counts the packets that were marked.
func oracleMarks(t *testing.T, n *lab.Net) *lab.Rule {
	t.Helper()
	later, err := n.Chain(lab.Inet, lab.Input, 10)
	testkit.Must(t, err)
	r, err := later.Add(lab.Mark(oracleMarked))
	testkit.Must(t, err)
	return r
}

// echoAll sends back what comes over connections.
func echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			// Without splice, whose pipes stay open for a while.
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		}()
	}
}
