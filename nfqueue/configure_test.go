package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// A recorder keeps the configuration messages that a kernel gets.
type recorder struct {
	mu   sync.Mutex
	msgs []nfnl.Message
}

// record makes k keep its configuration messages.
func record(k *nfqueuetest.Kernel) *recorder {
	r := new(recorder)
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == configType {
			r.mu.Lock()
			defer r.mu.Unlock()
			m.Attrs = slices.Clone(m.Attrs)
			r.msgs = append(r.msgs, m)
		}
		return nil
	})
	return r
}

// take returns the attributes of the messages that came since the last take.
func (r *recorder) take() (all [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.msgs {
		all = append(all, m.Attrs)
	}
	r.msgs = nil
	return all
}

// configType is NFQNL_MSG_CONFIG.
const configType nfnl.Type = 0x0302

// parameters returns the attributes of a configuration without a command.
func parameters(params, maxLen, flags, mask string) []byte {
	return wire(testkit.List(tlv(2, params)), tlv(3, maxLen), tlv(5, flags), tlv(4, mask))
}

// flagsOf returns the flags that a configuration message sets.
func flagsOf(attrs []byte) (flags uint32) {
	for d := attr.NewDecoder(attrs); d.Next(); {
		if d.Type() == 5 {
			flags = d.Uint32()
		}
	}
	return flags
}

// The bits of NFQA_CFG_FLAGS.
const (
	flagConntrack = 1 << 1
	flagGSO       = 1 << 2
	flagSecurity  = 1 << 4
)

func TestConfigureSendsOneMessageAndClearsWhatIsNotSet(t *testing.T) {
	unset := parameters("0000fffb 02", "00010000", "00000004", "0000001f")
	for name, c := range map[string]struct {
		cfg nfqueue.Config
		set []byte
	}{
		"range":      {nfqueue.Config{CopyRange: 128}, parameters("00000080 02", "00010000", "00000004", "0000001f")},
		"metadata":   {nfqueue.Config{MetadataOnly: true}, parameters("00000000 01", "00010000", "00000004", "0000001f")},
		"length":     {nfqueue.Config{MaxLen: 5}, parameters("0000fffb 02", "00000005", "00000004", "0000001f")},
		"fail open":  {nfqueue.Config{FailOpen: true}, parameters("0000fffb 02", "00010000", "00000005", "0000001f")},
		"conntrack":  {nfqueue.Config{Conntrack: true}, parameters("0000fffb 02", "00010000", "00000006", "0000001f")},
		"segments":   {nfqueue.Config{Segment: true}, parameters("0000fffb 02", "00010000", "00000000", "0000001f")},
		"owner":      {nfqueue.Config{Owner: true}, parameters("0000fffb 02", "00010000", "0000000c", "0000001f")},
		"security":   {nfqueue.Config{SecurityContext: true}, parameters("0000fffb 02", "00010000", "00000014", "0000001f")},
		"everything": {nfqueue.Config{CopyRange: 1, MaxLen: 1, FailOpen: true, Conntrack: true, Segment: true, Owner: true, SecurityContext: true}, parameters("00000001 02", "00000001", "0000001b", "0000001f")},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			r := record(k)
			c.cfg.Queue = 7
			for _, step := range []struct {
				cfg  nfqueue.Config
				want []byte
			}{{c.cfg, c.set}, {nfqueue.Config{Queue: 7}, unset}} {
				if err := q.Configure(step.cfg); err != nil {
					t.Fatal(err)
				}
				if got := r.take(); len(got) != 1 || !bytes.Equal(got[0], step.want) {
					t.Errorf("sent %x, want %x", got, step.want)
				}
			}
		})
	}
}

// long returns the data of a packet too long for a Batch that was made for a
// small copy range.
func long() string { return strings.Repeat("x", 60000) }

// small is a configuration that cuts all but the headers.
var small = nfqueue.Config{Queue: 7, CopyRange: 28}

// lengths is a handler that tells how long payloads are, and a channel of what
// it tells.
func lengths() (nfqueue.Handler, <-chan int) {
	c := make(chan int, 1000)
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		c <- len(p.Payload)
		return nfqueue.Accept()
	}, c
}

func TestRangeIsRaisedOnARunningQueue(t *testing.T) {
	whole := len(packet(long()).Payload)
	for name, raise := range map[string]func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error{
		"nobody receives": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			err := q.Configure(nfqueue.Config{Queue: 7})
			start(t, q, h)
			return err
		},
		"a Run waits": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			start(t, q, h)
			k.Verdict(k.Enqueue(packet("x"))) // and it waits again, or is about to
			return q.Configure(nfqueue.Config{Queue: 7})
		},
		"two Runs wait": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			start(t, q, h)
			start(t, q, h)
			k.Verdict(k.Enqueue(packet("x")))
			return q.Configure(nfqueue.Config{Queue: 7})
		},
		"a loop waits": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			go func() {
				for b := q.NewBatch(); q.Receive(b) == nil; {
					for i := range b.Packets {
						b.Verdicts[i] = h(&b.Packets[i])
					}
				}
			}()
			return q.Configure(nfqueue.Config{Queue: 7})
		},
		"a handler does it": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			done := make(chan error, 1)
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID == 1 {
					done <- q.Configure(nfqueue.Config{Queue: 7})
					return nfqueue.Accept()
				}
				return h(p)
			})
			k.Enqueue(packet("x"))
			return testkit.Next(t, done)
		},
		"OnError does it": func(t *testing.T, q *nfqueue.Queue, k *nfqueuetest.Kernel, h nfqueue.Handler) error {
			done := make(chan error, 1)
			cfg := small
			cfg.OnError = func(error) { done <- q.Configure(nfqueue.Config{Queue: 7}) }
			if err := q.Configure(cfg); err != nil {
				return err
			}
			k.Lose(1)
			k.Enqueue(packet("x"))
			start(t, q, h)
			return testkit.Next(t, done)
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, small)
			h, got := lengths()
			if err := raise(t, q, k, h); err != nil {
				t.Fatal(err)
			}
			wantVerdict(t, k, k.Enqueue(packet(long())), nfqueue.Accept())
			for n := range got {
				if n == whole {
					break
				}
				if n != 28 && n != 29 { // of the packet before
					t.Errorf("a payload of %d bytes, want %d", n, whole)
				}
			}
			if s := q.Stats(); s.Malformed != 0 || s.Fallbacks != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestRangeIsLowered(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	h, got := lengths()
	start(t, q, h)
	for _, want := range []int{len(packet(long()).Payload), 28} {
		k.Enqueue(packet(long()))
		if n := testkit.Next(t, got); n != want {
			t.Errorf("a payload of %d bytes, want %d", n, want)
		}
		if err := q.Configure(small); err != nil {
			t.Fatal(err)
		}
	}
}

// Packets that the range cut before it was raised are cut still, and say so.
func TestConfigureLeavesQueuedPacketsAsTheyAre(t *testing.T) {
	q, k := open(t, small)
	before := k.Enqueue(packet("hello"))
	if err := q.Configure(nfqueue.Config{Queue: 7, Fallback: fallback}); err != nil {
		t.Fatal(err)
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept().WithPayload(udpPacket("y"))
	})
	wantVerdict(t, k, before, fallback)
	wantVerdict(t, k, k.Enqueue(packet("hello")), nfqueue.Accept().WithRawPayload(udpPacket("y")))
}

// What the library itself does changes at once.
func TestConfigureChangesWhatTheLibraryDoes(t *testing.T) {
	first, second := new(testkit.Errors), new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: first.Add})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if data(p.Payload) == "hold" {
			return nfqueue.Hold()
		}
		return nfqueue.Accept().WithRawPayload(nil) // refused
	})
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Drop())
	first.Next(t, nfqueue.ErrPayload)
	if err := q.Configure(nfqueue.Config{Queue: 7, Fallback: fallback, OnError: second.Add, MaxHeld: 1}); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
	second.Next(t, nfqueue.ErrPayload)
	k.Enqueue(packet("hold"))
	wantVerdict(t, k, k.Enqueue(packet("hold")), fallback)
	second.Next(t, nfqueue.ErrTooManyHeld)
	first.WantNoMore(t)
}

func TestConfigureRepeatsWhatHasNoAnswer(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	r := record(k)
	k.LoseAnswers(2)
	if err := q.Configure(small); err != nil {
		t.Fatal(err)
	}
	if n := len(r.take()); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// Many change the queue while packets come: each Configure is one step, the
// last is in force, and no packet is missing or cut by a buffer.
func TestConfigureFromManyGoroutines(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	r := record(k)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 25 {
				if err := q.Configure(nfqueue.Config{Queue: 7, CopyRange: uint32(28 + 1000*((i+j)%20))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	start(t, q, accept)
	start(t, q, accept)
	var ids []uint32
	for range 500 {
		ids = append(ids, k.Enqueue(packet(long()[:10000])))
	}
	wg.Wait()
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	all := r.take()
	last := binary.BigEndian.Uint32(all[len(all)-1][4:])
	if g := q.Granted().CopyRange; g != last || len(all) != 100 {
		t.Errorf("granted is a range of %d, the kernel was told %d last, %d times", g, last, len(all))
	}
	if s := q.Stats(); s.Malformed+s.Lost+s.Gone+s.Fallbacks != 0 || s.Packets != 500 {
		t.Errorf("stats %+v", s)
	}
}
