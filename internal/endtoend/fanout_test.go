//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// openRange opens queues in n, which are closed with the test.
func openRange(t testing.TB, n *lab.Net, cfg nfqueue.Config, queues int) *nfqueue.Queues {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	qs, err := nfqueue.OpenRange(cfg, queues)
	must(t, err)
	t.Cleanup(func() { qs.Close() })
	return qs
}

// onProcessor calls f on a processor, and throws away the thread.
func onProcessor(t *testing.T, number int, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good
		var set unix.CPUSet
		set.Set(number)
		err := unix.SchedSetaffinity(0, &set)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	must(t, next(t, done))
}

// processors returns the numbers of those that this program may use.
func processors(t *testing.T) (numbers []int) {
	t.Helper()
	var set unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &set))
	for i := range 1024 {
		if set.IsSet(i) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// With fanout the queue is that of the processor on which the packet is.
func TestFanoutChoosesTheQueueByTheProcessor(t *testing.T) {
	const queues, first = 2, 40
	n := newNet(t)
	qs := openRange(t, n, nfqueue.Config{Queue: first}, queues)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(first, queues, lab.Fanout))
	to, from := udpPair(t, n, "udp", ipv4.address())
	chosen := make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			chosen <- int(p.Queue - first)
			return nfqueue.Accept()
		})
	})
	all := processors(t)
	for _, number := range all[:min(len(all), 2)] {
		onProcessor(t, number, func() error {
			_, err := from.Write([]byte("x"))
			return err
		})
		if got := next(t, chosen); got != number%queues {
			t.Errorf("a packet of processor %d came to queue number %d", number, got)
		}
		wantReceived(t, to, "x")
	}
	cancel()
	wantError(t, "Run", next(t, done), context.Canceled)
}

// Queues of several rules, that are not in a row, have one handler: with what the
// kernel says of each, the names of interfaces, and the sum of the counts.
func TestQueuesNotInARow(t *testing.T) {
	n := newNet(t)
	numbers := []uint16{41, 7, 65535}
	qs, err := nfqueue.OpenQueues(nfqueue.Config{CopyRange: 99, Socket: nfnl.Config{NetNS: n.FD()}}, numbers...)
	must(t, err)
	defer qs.Close()
	if g, c := qs.Granted(), qs.Config(); g.CopyRange != 99 || g.MaxHeld != 8192/len(numbers) || c.Queue != 41 || c.MaxHeld != 0 {
		t.Errorf("granted %+v, Config %+v", g, c)
	}
	links, err := qs.Links()
	must(t, err)
	defer links.Close()
	for i, number := range numbers {
		addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9000+uint16(i)), lab.Queue(number))
	}
	seen := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			seen <- fmt.Sprintf("queue %d, to %s", p.Queue, links.Name(p.OutDev))
			return nfqueue.Accept()
		})
	})
	for i, number := range numbers {
		to, from := udpPair(t, n, "udp", fmt.Sprintf("127.0.0.1:%d", 9000+i))
		send(t, from, "x")
		if got, want := next(t, seen), fmt.Sprintf("queue %d, to lo", number); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		wantReceived(t, to, "x")
	}
	if s := qs.Stats(); s.Packets != 3 || s.Accepted != 3 || s.Bytes != 3*29 {
		t.Errorf("stats %+v", s)
	}
	if stats, err := qs.KernelStats(); !errors.Is(err, os.ErrPermission) {
		must(t, err)
		for i, s := range stats {
			if s.Queue != numbers[i] || s.LastID != 1 || s.CopyRange != 99 {
				t.Errorf("the kernel says of queue %d: %+v", numbers[i], s)
			}
		}
	}
	must(t, qs.Configure(nfqueue.Config{Queue: 41, CopyRange: 100, Socket: qs.Config().Socket}))
	if g := qs.Queue(2).Granted(); g.CopyRange != 100 {
		t.Errorf("the last queue was granted %+v", g)
	}
	cancel()
	wantError(t, "Run", next(t, done), context.Canceled)
}

// Under load from many addresses every packet is seen once, those between two
// addresses by one queue and in their order, and the sums are right.
func TestRangeUnderLoad(t *testing.T) {
	const queues, senders, each = 4, 20, 50
	n := newNet(t)
	qs := openRange(t, n, nfqueue.Config{Owner: true}, queues)
	if qs.Len() != queues {
		t.Errorf("%d queues", qs.Len())
	}
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(0, queues))
	pc, err := n.ListenPacket("udp", ipv4.address())
	must(t, err)
	defer pc.Close()
	var mu sync.Mutex
	type flow struct {
		queue uint16
		next  byte
	}
	flows := map[string]flow{}
	var packets atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			mu.Lock()
			defer mu.Unlock()
			f, _ := nfnl.ParseFlow(p.Payload)
			was, known := flows[f.Src.String()]
			if known && was.queue != p.Queue || p.Payload[ipv4.headers] != was.next {
				t.Errorf("%v: number %d in queue %d, want %d in %d", f, p.Payload[ipv4.headers], p.Queue, was.next, was.queue)
			}
			flows[f.Src.String()] = flow{p.Queue, was.next + 1}
			packets.Add(1)
			return nfqueue.Accept()
		})
	})
	to, err := net.ResolveUDPAddr("udp", ipv4.address())
	must(t, err)
	var wg sync.WaitGroup
	for i := range senders {
		from, err := n.ListenPacket("udp", fmt.Sprintf("127.0.1.%d:0", i+1))
		must(t, err)
		defer from.Close()
		wg.Go(func() {
			for j := range each {
				if _, err := from.WriteTo([]byte{byte(j)}, to); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	await(t, "all packets", func() bool { return packets.Load() == senders*each })
	cancel()
	wantError(t, "Run", next(t, done), context.Canceled)
	if s := qs.Stats(); s.Packets != senders*each || s.Lost+s.Gone+s.Refused+s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
	var sum uint64
	for i := range qs.Len() {
		sum += qs.Queue(i).Stats().Packets
	}
	if sum != senders*each {
		t.Errorf("%d packets in the queues", sum)
	}
}

// SetVerdictAll lets go what waits in all queues, held or not.
func TestRangeGetsAVerdictOnAll(t *testing.T) {
	const queues = 2
	n := newNet(t)
	qs := openRange(t, n, nfqueue.Config{}, queues)
	to, err := n.ListenPacket("udp", ipv4.address())
	must(t, err)
	defer to.Close()
	var rules []*lab.Rule
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	var from []net.Conn
	for i := range queues {
		c, err := n.Dial("udp", ipv4.address())
		must(t, err)
		defer c.Close()
		port := c.LocalAddr().(*net.UDPAddr).Port
		r, err := chain.Add(lab.L4(unix.IPPROTO_UDP), lab.SrcPort(uint16(port)), lab.Queue(uint16(i)))
		must(t, err)
		rules, from = append(rules, r), append(from, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hold, tickets := holder()
	done := background(func() error { return qs.Run(ctx, hold) })
	for _, c := range from {
		send(t, c, "held")
		next(t, tickets)
	}
	await(t, "both are held", func() bool { return qs.Stats().Held == queues })
	cancel()
	next(t, done)
	for _, c := range from {
		send(t, c, "not received")
	}
	for _, r := range rules {
		must(t, r.Delete())
	}
	must(t, qs.SetVerdictAll(nfqueue.Accept()))
	for range 2 * queues {
		receive(t, to)
	}
	if s := qs.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Packets != queues { // those that were received
		t.Errorf("stats %+v", s)
	}
	must(t, qs.Close())
	must(t, qs.Close())
	wantError(t, "Run after Close", qs.Run(context.Background(), accept), net.ErrClosed)
	wantError(t, "SetVerdictAll after Close", qs.SetVerdictAll(nfqueue.Accept()), net.ErrClosed)
}

// A handler that ends its goroutine ends all queues, and leaves none of its own.
func TestRangeEndsWithItsHandler(t *testing.T) {
	n := newNet(t)
	qs := openRange(t, n, nfqueue.Config{Fallback: nfqueue.Accept()}, 3)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(0, 3))
	to, from := udpPair(t, n, "udp", ipv4.address())
	for name, end := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("oops") }} {
		ended := make(chan any, 1)
		go func() {
			defer func() { ended <- recover() }()
			qs.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
				end()
				panic("unreachable")
			})
			t.Errorf("%s: Run returned", name)
		}()
		send(t, from, name)
		wantReceived(t, to, name)
		if p, _ := next(t, ended).(*nfqueue.PanicError); (p != nil) != (name == "panic") || p != nil && p.Value != "oops" {
			t.Errorf("%s: Run panicked with %v", name, p)
		}
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("the reason why")
	done := background(func() error { return qs.Run(ctx, accept) })
	send(t, from, "y")
	wantReceived(t, to, "y")
	cancel(cause)
	if err := next(t, done); err != cause {
		t.Errorf("a second Run: %v, want %v", err, cause)
	}
}

// All queues of a range change, beside a Run.
func TestRangeIsConfigured(t *testing.T) {
	const first, queues = 40, 3
	n := newNet(t)
	qs := openRange(t, n, nfqueue.Config{Queue: first}, queues)
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	for i := range uint16(queues) {
		_, err := chain.Add(lab.UDP(9990+i), lab.Queue(first+i))
		must(t, err)
	}
	type seen struct {
		queue uint16
		bytes int
	}
	got := make(chan seen, 1)
	done := background(func() error {
		return qs.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
			got <- seen{p.Queue, len(p.Payload)}
			return nfqueue.Accept()
		})
	})
	for _, bytes := range []int{ipv4.headers, ipv4.headers + len("hello")} {
		must(t, qs.Configure(nfqueue.Config{Queue: first, CopyRange: uint32(bytes)}))
		for i := range queues {
			c, err := n.Dial("udp", fmt.Sprintf("127.0.0.1:%d", 9990+i))
			must(t, err)
			send(t, c, "hello")
			must(t, c.Close())
			if got, want := next(t, got), (seen{uint16(first + i), bytes}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	must(t, qs.Close())
	wantError(t, "Run", next(t, done), net.ErrClosed)
}

// The receive buffer is shared out between the queues.
func TestRangeSharesTheReceiveBuffer(t *testing.T) {
	n := newNet(t)
	one := openQueue(t, n, nfqueue.Config{Queue: 100}).Stats().ReadBuffer
	many := openRange(t, n, nfqueue.Config{}, 4).Stats().ReadBuffer
	if asked := 2 * 8 << 20; one < asked {
		t.Skipf("this user is granted %d bytes of %d", one, asked)
	}
	if many < one/2 || many > 2*one {
		t.Errorf("four queues have %d bytes, one has %d", many, one)
	}
}
