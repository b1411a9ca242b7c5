package nfnltest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

const (
	config  nfnl.Type = engine.SubsystemQueue<<8 | 2
	verdict nfnl.Type = engine.SubsystemQueue<<8 | 1
	packet  nfnl.Type = engine.SubsystemQueue << 8
)

func TestKernelAnswersRequests(t *testing.T) {
	conn, _ := nfnltest.New(t, func(m nfnl.Message) error {
		if m.Resource == 7 {
			return syscall.Errno(16)
		}
		return nil
	})
	if err := conn.Request(nfnl.Message{Type: config, Resource: 5}); err != nil {
		t.Error(err)
	}
	err := conn.Request(nfnl.Message{Type: config, Resource: 7})
	if !errors.Is(err, syscall.Errno(16)) {
		t.Error(err)
	}
}

// TestKernelHandlesEachMessageAsTheRealOneDoes sends one datagram of many kinds
// of messages.
func TestKernelHandlesEachMessageAsTheRealOneDoes(t *testing.T) {
	var asked []uint32
	conn, _ := nfnltest.New(t, func(m nfnl.Message) error {
		asked = append(asked, m.Seq)
		if m.Type == verdict {
			return fmt.Errorf("no packet: %w", syscall.ENOENT)
		}
		return nil
	})
	const request, ack = engine.FlagRequest, engine.FlagAck
	var msgs []byte
	for _, m := range []nfnl.Message{
		{Seq: 1, Type: verdict, Flags: request},       // refused without being asked to answer
		{Seq: 2, Type: config, Flags: request},        // no answer to this
		{Seq: 3, Type: config, Flags: request | ack},  // and one to this
		{Seq: 4, Type: verdict, Flags: ack},           // no request: not done, but acknowledged
		{Seq: 5, Type: verdict},                       // nothing
		{Seq: 6, Type: 1, Flags: request | ack},       // netlink's NOOP
		{Seq: 7, Type: verdict, Flags: request | ack}, // one refusal, not two answers
	} {
		msgs = m.Append(msgs)
	}
	msgs = append(msgs, make([]byte, 32)...) // nonsense ends the walk
	msgs = nfnl.Message{Seq: 8, Type: config, Flags: request | ack}.Append(msgs)
	if _, err := conn.Send(msgs); err != nil {
		t.Fatal(err)
	}
	if want := []uint32{1, 2, 3, 7}; !slices.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
	var got []string
	b := nfnl.NewBatch(16, 256, func(m nfnl.Message, err error) {
		r, _ := m.Reply()
		got = append(got, fmt.Sprintf("%d:%d", r.Seq, r.Errno))
	})
	if err := conn.Receive(b); err != nil {
		t.Fatal(err)
	}
	if want := "1:2 3:0 4:0 6:0 7:2"; strings.Join(got, " ") != want {
		t.Errorf("answers %v, want %s", got, want)
	}
}

func TestAnswersAreByteForByteTheKernels(t *testing.T) {
	ne := binary.NativeEndian
	header := func(length uint32, typ, flags uint16, seq uint32) []byte {
		b := ne.AppendUint16(ne.AppendUint16(ne.AppendUint32(nil, length), typ), flags)
		return ne.AppendUint32(ne.AppendUint32(b, seq), 0)
	}
	minusTwo := int32(-2)
	want := slices.Concat(header(36, 2, 0x100, 4), ne.AppendUint32(nil, uint32(minusTwo)), header(20, 0x0301, 1, 4))
	got := nfnltest.AppendReply(nil, nfnl.Message{Type: verdict, Flags: engine.FlagRequest, Seq: 4}, syscall.Errno(2))
	if !slices.Equal(got, want) {
		t.Errorf("AppendReply:\n got %x\nwant %x", got, want)
	}

	// A Kernel knows the length of what it answers.
	conn, _ := nfnltest.New(t, func(nfnl.Message) error { return syscall.Errno(2) })
	ne.PutUint32(want[20:], 32)
	req := nfnl.Message{Type: verdict, Flags: engine.FlagRequest, Seq: 4, Attrs: make([]byte, 12)}
	if _, err := conn.Send(req.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Receive(nfnl.NewBatch(1, 256, func(m nfnl.Message, err error) {
		if got := m.Append(nil); !slices.Equal(got, want) {
			t.Errorf("Kernel:\n got %x\nwant %x", got, want)
		}
	})); err != nil {
		t.Fatal(err)
	}
}

func TestLostAnswersAreCounted(t *testing.T) {
	var asked atomic.Int32
	conn, kernel := nfnltest.New(t, func(nfnl.Message) error {
		asked.Add(1)
		return nil
	})
	kernel.LoseAnswers(2)
	req := nfnl.Message{Type: config}
	if err := conn.Request(req); err != nil || asked.Load() != 3 {
		t.Errorf("%v after asking %d times", err, asked.Load())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := conn.Request(req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 11 {
		t.Errorf("8 requests were asked %d times", n-3)
	}
}

func TestHangUpEndsReceive(t *testing.T) {
	conn, kernel := nfnltest.New(t, func(nfnl.Message) error { return nil })
	kernel.Deliver(nfnl.Message{Type: packet}.Append(nil))
	kernel.HangUp()
	n := 0
	b := nfnl.NewBatch(4, 256, func(nfnl.Message, error) { n++ })
	if err := conn.Receive(b); err != nil || n != 1 {
		t.Errorf("%d packets, %v", n, err)
	}
	if err := conn.Receive(b); err == nil {
		t.Error("no error after hanging up")
	}
}

// A fakeTB notes failures.
type fakeTB struct {
	testing.TB
	failed string
}

func (f *fakeTB) Errorf(format string, args ...any) { f.failed = fmt.Sprintf(format, args...) }

func TestAnswerThatIsNoErrnoFailsTheTest(t *testing.T) {
	tb := &fakeTB{TB: t}
	conn, _ := nfnltest.New(tb, func(nfnl.Message) error { return errors.New("what?") })
	if _, err := conn.Send(nfnl.Message{Type: verdict, Flags: engine.FlagRequest}.Append(nil)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(tb.failed, "what?") {
		t.Errorf("the test failed with %q", tb.failed)
	}
}

func Example() {
	t := new(testing.T) // a test has one
	conn, kernel := nfnltest.New(t, func(m nfnl.Message) error {
		if m.Resource == 7 {
			return syscall.EPERM // another program's queue
		}
		return nil
	})
	defer conn.Close()
	fmt.Println(conn.Request(nfnl.Message{Type: config, Resource: 5}))
	fmt.Println(conn.Request(nfnl.Message{Type: config, Resource: 7}))

	kernel.Deliver(nfnl.Message{Type: packet, Family: nfnl.IPv4, Resource: 5}.Append(nil))
	err := conn.Receive(nfnl.NewBatch(1, 256, func(m nfnl.Message, err error) {
		fmt.Println("queue", m.Resource, m.Family)
	}))
	fmt.Println(err)
	// Output:
	// <nil>
	// operation not permitted
	// queue 5 ip
	// <nil>
}
