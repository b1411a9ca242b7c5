//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// onProcessor calls f on a processor.
func onProcessor(t *testing.T, number int, f func() error) {
	t.Helper()
	testkit.Must(t, endtoend.OnOwnThread(t, func() error {
		var set unix.CPUSet
		set.Set(number)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return err
		}
		return f()
	}))
}

// processors returns the numbers of those that this program may use.
func processors(t *testing.T) (numbers []int) {
	t.Helper()
	var set unix.CPUSet
	testkit.Must(t, unix.SchedGetaffinity(0, &set))
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
	n := endtoend.NewNet(t)
	qs := endtoend.OpenRange(t, n, nfqueue.Config{Queue: first}, queues)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(first, queues, lab.Fanout))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	chosen := make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := testkit.Background(func() error {
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
		if got := testkit.Next(t, chosen); got != number%queues {
			t.Errorf("a packet of processor %d came to queue number %d", number, got)
		}
		endtoend.WantReceived(t, to, "x")
	}
	cancel()
	testkit.WantError(t, "Run", testkit.Next(t, done), context.Canceled)
}

// Queues of several rules, that are not in a row, have one handler: with what the
// kernel says of each, the names of interfaces, and the sum of the counts.
func TestQueuesNotInARow(t *testing.T) {
	n := endtoend.NewNet(t)
	numbers := []uint16{41, 7, 65535}
	qs, err := nfqueue.OpenQueues(nfqueue.Config{CopyRange: 99, Socket: nfnl.Config{NetNS: n.FD()}}, numbers...)
	testkit.Must(t, err)
	defer qs.Close()
	if g, c := qs.Granted(), qs.Config(); g.CopyRange != 99 || g.MaxHeld != 8192/len(numbers) || c.Queue != 41 || c.MaxHeld != 0 {
		t.Errorf("granted %+v, Config %+v", g, c)
	}
	links, err := qs.Links()
	testkit.Must(t, err)
	defer links.Close()
	for i, number := range numbers {
		endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9000+uint16(i)), lab.Queue(number))
	}
	seen := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := testkit.Background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			seen <- fmt.Sprintf("queue %d, to %s", p.Queue, links.Name(p.OutDev))
			return nfqueue.Accept()
		})
	})
	for i, number := range numbers {
		to, from := endtoend.UDPPair(t, n, "udp", fmt.Sprintf("127.0.0.1:%d", 9000+i))
		endtoend.Send(t, from, "x")
		if got, want := testkit.Next(t, seen), fmt.Sprintf("queue %d, to lo", number); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		endtoend.WantReceived(t, to, "x")
	}
	if s := qs.Stats(); s.Packets != 3 || s.Accepted != 3 || s.Bytes != 3*29 {
		t.Errorf("stats %+v", s)
	}
	if stats, err := qs.KernelStats(); !errors.Is(err, os.ErrPermission) {
		testkit.Must(t, err)
		for i, s := range stats {
			if s.Queue != numbers[i] || s.LastID != 1 || s.CopyRange != 99 {
				t.Errorf("the kernel says of queue %d: %+v", numbers[i], s)
			}
		}
	}
	testkit.Must(t, qs.Configure(nfqueue.Config{Queue: 41, CopyRange: 100, Socket: qs.Config().Socket}))
	if g := qs.Queue(2).Granted(); g.CopyRange != 100 {
		t.Errorf("the last queue was granted %+v", g)
	}
	cancel()
	testkit.WantError(t, "Run", testkit.Next(t, done), context.Canceled)
}

// Under load from many addresses every packet is seen once, those between two
// addresses by one queue and in their order, and the sums are right.
func TestRangeUnderLoad(t *testing.T) {
	const queues, senders, each = 4, 20, 50
	n := endtoend.NewNet(t)
	qs := endtoend.OpenRange(t, n, nfqueue.Config{Owner: true}, queues)
	if qs.Len() != queues {
		t.Errorf("%d queues", qs.Len())
	}
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queues(0, queues))
	pc, err := n.ListenPacket("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	defer pc.Close()
	var mu sync.Mutex
	type flow struct {
		queue uint16
		next  byte
	}
	flows := map[string]flow{}
	var packets atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := testkit.Background(func() error {
		return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			mu.Lock()
			defer mu.Unlock()
			f, _ := nfnl.ParseFlow(p.Payload)
			was, known := flows[f.Src.String()]
			if known && was.queue != p.Queue || p.Payload[endtoend.IPv4.Headers] != was.next {
				t.Errorf("%v: number %d in queue %d, want %d in %d", f, p.Payload[endtoend.IPv4.Headers], p.Queue, was.next, was.queue)
			}
			flows[f.Src.String()] = flow{p.Queue, was.next + 1}
			packets.Add(1)
			return nfqueue.Accept()
		})
	})
	to, err := net.ResolveUDPAddr("udp", endtoend.IPv4.Address())
	testkit.Must(t, err)
	var wg sync.WaitGroup
	for i := range senders {
		from, err := n.ListenPacket("udp", fmt.Sprintf("127.0.1.%d:0", i+1))
		testkit.Must(t, err)
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
	testkit.Await(t, "all packets", func() bool { return packets.Load() == senders*each })
	cancel()
	testkit.WantError(t, "Run", testkit.Next(t, done), context.Canceled)
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
