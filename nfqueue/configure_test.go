package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
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

func TestWrongConfigureChangesNothing(t *testing.T) {
	q, k := open(t, nfqueue.Config{CopyRange: 100})
	r := record(k)
	for says, cfg := range wrong {
		cfg.Queue = 7
		if err := q.Configure(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
	if err := q.Configure(nfqueue.Config{Queue: 8}); err == nil || !strings.Contains(err.Error(), "Config.Queue is 8") {
		t.Errorf("another queue: got %v", err)
	}
	if sent := r.take(); len(sent) > 0 {
		t.Errorf("the kernel was sent %x", sent)
	}
	if g, c := q.Granted(), q.Config(); g.CopyRange != 100 || c.CopyRange != 100 || c.Queue != 7 {
		t.Errorf("granted is %+v", g)
	}
}

func TestConfigureThatTheKernelRefusesChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(m nfnl.Message) error
		is     error
		says   string
	}{
		"no privilege": {func(nfnl.Message) error { return syscall.EPERM }, os.ErrPermission, "CAP_NET_ADMIN"},
		"unknown flag": {func(nfnl.Message) error { return syscall.EOPNOTSUPP }, errors.ErrUnsupported, "Config.Conntrack"},
		"no queue":     {func(nfnl.Message) error { return syscall.ENODEV }, syscall.ENODEV, "nfqueue 7"},
		"no memory":    {func(nfnl.Message) error { return syscall.ENOMEM }, syscall.ENOMEM, "nfqueue 7"},
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{CopyRange: 28, Fallback: fallback, OnError: reported.Add})
			k.Refuse(c.refuse)
			err := q.Configure(nfqueue.Config{Queue: 7, Conntrack: true})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "nfqueue 7") {
				t.Errorf("got %v", err)
			}
			k.Refuse(nil)
			if g, c := q.Granted(), q.Config(); g.CopyRange != 28 || g.Conntrack || c.CopyRange != 28 || c.Conntrack {
				t.Errorf("granted is %+v", g)
			}
			start(t, q, always(nfqueue.Accept().WithRawPayload(nil)))
			wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
			reported.Next(t, nfqueue.ErrPayload)
		})
	}
}

func TestConfigureAfterCloseIsErrClosed(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	q.Close()
	if err := q.Configure(nfqueue.Config{Queue: 7}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
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

func TestGrantedHasTheDefaults(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	g := q.Granted()
	g.ReadBuffer = 0 // is the machine's
	if want := (nfqueue.Granted{CopyRange: 65531, MaxLen: 65536, MaxHeld: 8192, MaxHeldBytes: 32 << 20, Batch: 64}); g != want {
		t.Errorf("granted is %+v", g)
	}
}

// One field changes if the rest of the Config is what it was.
func TestOneFieldIsChangedInWhatConfigReturns(t *testing.T) {
	reported := new(testkit.Errors)
	cfg := nfqueue.Config{Fallback: fallback, OnError: reported.Add, Socket: nfnl.Config{ReadBuffer: 12345}}
	q, k := open(t, cfg)
	for _, change := range []func(*nfqueue.Config){
		func(c *nfqueue.Config) { c.MaxLen = 10000 },
		func(c *nfqueue.Config) { c.MetadataOnly = true },
	} {
		cfg := q.Config()
		change(&cfg)
		if err := q.Configure(cfg); err != nil {
			t.Fatal(err)
		}
	}
	if g := q.Granted(); g.CopyRange != 0 || g.MaxLen != 10000 || g.MaxHeld != 5000 {
		t.Errorf("granted is %+v", g)
	}
	if c := q.Config(); !c.MetadataOnly || c.MaxLen != 10000 || c.CopyRange != 0 || c.MaxHeld != 0 || c.Batch != 0 || !reflect.DeepEqual(c.Socket, cfg.Socket) {
		t.Errorf("the Config became %+v", c)
	}
	start(t, q, always(nfqueue.Accept().WithPayload(udpPacket("x")))) // refused
	wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
	reported.Next(t, nfqueue.ErrTruncated)
}

// The socket stays what it is, and who wants another is told so.
func TestConfigureCannotChangeTheSocket(t *testing.T) {
	opened := nfnl.Config{NetNS: 3, ReadBuffer: 12345} // which OpenConn makes no use of
	q, k := open(t, nfqueue.Config{Socket: opened})
	r := record(k)
	for says, socket := range map[string]nfnl.Config{
		"Config.Socket.NetNS is 4":           {NetNS: 4},
		"Config.Socket.ReadBuffer is 123456": {ReadBuffer: 123456},
		"Config.Socket.Tap is set":           {Tap: func(bool, []byte) {}},
	} {
		if err := q.Configure(nfqueue.Config{Queue: 7, Socket: socket, CopyRange: 9}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if sent := r.take(); len(sent) > 0 {
		t.Errorf("the kernel was sent %x", sent)
	}
	for _, socket := range []nfnl.Config{{}, opened, {NetNS: 3}, q.Config().Socket} {
		if err := q.Configure(nfqueue.Config{Queue: 7, Socket: socket}); err != nil {
			t.Errorf("%+v: %v", socket, err)
		}
		if after := q.Config().Socket; !reflect.DeepEqual(after, opened) {
			t.Errorf("the socket became %+v, was %+v", after, opened)
		}
	}
}

// lacking makes a kernel that refuses flags: with EOPNOTSUPP, or as 7.2 says of
// a bit that it does not know.
func lacking(t testing.TB, flags uint32, text bool) *nfnl.Conn {
	t.Helper()
	var peer *engine.Peer
	conn, peer, err := engine.Pipe(func(datagram []byte) error {
		m, _, err := nfnl.Next(datagram)
		if err != nil || m.Flags&engine.FlagAck == 0 {
			return err
		}
		errno, replyFlags, says := uint32(0), uint16(0x100), []byte(nil)
		if flagsOf(m.Attrs)&flags != 0 {
			errno = uint32(0xffffffff - syscall.EOPNOTSUPP + 1)
			if text {
				errno = uint32(0xffffffff - syscall.EINVAL + 1)
				replyFlags, says = 0x300, testkit.List(tlv(1, []byte("reserved bit set\x00")))
			}
		}
		echo := m.Append(nil)[:16]
		return peer.Deliver(wire(uint32(36+len(says)), uint16(2), replyFlags, m.Seq, uint32(0), errno, echo, says))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		peer.Close()
	})
	return (*nfnl.Conn)(conn)
}

func TestBestEffortDoesWithoutWhatTheKernelLacks(t *testing.T) {
	wish := nfqueue.Config{Queue: 7, Conntrack: true, ConntrackVerdicts: true, SecurityContext: true, Owner: true, FailOpen: true, BestEffort: true}
	for name, c := range map[string]struct {
		lacks                        uint32
		conntrack, verdicts, context bool
	}{
		"nothing":            {0, true, true, true},
		"conntrack":          {flagConntrack, false, false, true},
		"security context":   {flagSecurity, true, true, false},
		"both":               {flagConntrack | flagSecurity, false, false, false},
		"what is not wished": {1 << 9, true, true, true},
	} {
		for _, text := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, text %v", name, text), func(t *testing.T) {
				check := func(g nfqueue.Granted) {
					t.Helper()
					if g.Conntrack != c.conntrack || g.ConntrackVerdicts != c.verdicts || g.SecurityContext != c.context {
						t.Errorf("granted is %+v", g)
					}
				}
				q, err := nfqueue.OpenConn(lacking(t, c.lacks, text), wish)
				if err != nil {
					t.Fatal(err)
				}
				defer q.Close()
				check(q.Granted())
				wished := q.Config()
				if !reflect.DeepEqual(wished, wish) {
					t.Errorf("the Config became %+v", wished)
				}
				if err := q.Configure(nfqueue.Config{Queue: 7}); err != nil {
					t.Fatal(err)
				}
				if err := q.Configure(wished); err != nil {
					t.Fatal(err)
				}
				check(q.Granted())

				insist := wish
				insist.BestEffort = false
				if err := q.Configure(insist); (err != nil) != (c.lacks&(flagConntrack|flagSecurity) != 0) {
					t.Errorf("without BestEffort: %v", err)
				}
				check(q.Granted())
			})
		}
	}
}

func TestBestEffortIsForWhatTheKernelMayLack(t *testing.T) {
	// A flag of the user's own is insisted on.
	_, err := nfqueue.OpenConn(lacking(t, 1<<9, true), nfqueue.Config{Queue: 7, Conntrack: true, BestEffort: true, Flags: 1 << 9})
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "reserved bit set") || !strings.Contains(err.Error(), "Flags") {
		t.Errorf("got %v", err)
	}
	// And so is everything else.
	for errno, want := range map[syscall.Errno]error{syscall.EPERM: nfqueue.ErrTaken, syscall.ENOMEM: syscall.ENOMEM, syscall.EINVAL: syscall.EINVAL} {
		conn, k := nfqueuetest.New(t)
		r := record(k)
		asked := 0
		k.Refuse(func(m nfnl.Message) error {
			if m.Type == configType {
				asked++
				return errno
			}
			return nil
		})
		_, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, Conntrack: true, SecurityContext: true, BestEffort: true})
		if !errors.Is(err, want) || asked != 1 {
			t.Errorf("%v: got %v after %d requests", errno, err, asked)
		}
		r.take()
	}
}

func TestConntrackVerdictsAreTriedWithoutTheirCost(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	r := record(k)
	cfg := nfqueue.Config{Queue: 7, ConntrackVerdicts: true}
	q, err := nfqueue.OpenConn(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	wantFlags := func(want ...uint32) {
		t.Helper()
		var got []uint32
		for _, m := range r.take() {
			got = append(got, flagsOf(m))
		}
		if !slices.Equal(got, want) {
			t.Errorf("sent flags %#x, want %#x", got, want)
		}
	}
	wantFlags(flagGSO|flagConntrack, flagGSO)
	if err := q.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	wantFlags(flagGSO|flagConntrack, flagGSO)
	cfg.Conntrack = true
	if err := q.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	wantFlags(flagGSO | flagConntrack)

	_, err = nfqueue.OpenConn(lacking(t, flagConntrack, false), nfqueue.Config{Queue: 7, ConntrackVerdicts: true})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "ConntrackVerdicts") {
		t.Errorf("a kernel without: got %v", err)
	}
}
