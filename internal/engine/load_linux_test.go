package engine

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bound returns a Conn that owns a queue, with nothing in it.
func bound(t *testing.T, queue uint16) *Conn {
	t.Helper()
	c := dialTest(t, Config{})
	if err := c.Request(config(queue)); err != nil {
		t.Fatal(err)
	}
	return c
}

// verdict is one for a packet that is not there.
func verdict(b []byte, flags uint16, seq uint32) []byte {
	return Message{Type: queueVerdict, Flags: flags, Seq: seq, Resource: 9, Attrs: goldenVerdict[20:]}.Append(b)
}

func TestSendOfMoreThanTheSendBufferHolds(t *testing.T) {
	c := bound(t, 9)
	size, err := unix.GetsockoptInt(fd(t, c), unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		t.Fatal(err)
	}
	const answered = 100 // a receive buffer holds more, at up to 2 KiB each
	every := 5 * size / len(verdict(nil, 0, 0)) / answered
	messages := every * answered
	var msgs []byte
	for i := range messages {
		var flags uint16 // without FlagRequest the kernel passes over it
		if i%every == 0 {
			flags = FlagRequest
		}
		msgs = verdict(msgs, flags, uint32(i))
	}
	if err := c.Send(msgs); err != nil {
		t.Fatal(err)
	}
	var got seen
	b := got.batch(64)
	for before := -1; before < len(got.replies); {
		before = len(got.replies)
		if err := c.TryReceive(b); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range got.replies {
		if r.Seq != uint32(i*every) || r.Errno != syscall.ENOENT || r.Type != queueVerdict {
			t.Fatalf("answer %d is %+v", i, r)
		}
	}
	if len(got.replies) != answered || len(got.errs) > 0 {
		t.Errorf("%d of %d messages were answered, errors %v", len(got.replies), answered, got.errs)
	}
}

func TestSendOfOneMessageThatIsTooLong(t *testing.T) {
	c := bound(t, 9)
	long := Message{Type: queueVerdict, Attrs: make([]byte, 1<<20)}.Append(nil)
	if err := c.Send(long); !errors.Is(err, syscall.EMSGSIZE) {
		t.Error(err)
	}
}

// TestFullReceiveBuffer: the answers that found no room are counted, what comes
// afterwards is received, and a Request finds its way through.
func TestFullReceiveBuffer(t *testing.T) {
	c := bound(t, 9)
	if n := c.Drops(); n != 0 {
		t.Fatalf("%d drops before anything was sent", n)
	}
	const messages = 5000
	var msgs []byte
	for i := range uint32(messages) {
		msgs = verdict(msgs, FlagRequest, i)
	}
	if err := c.Send(msgs); err != nil {
		t.Fatal(err)
	}
	drops := c.Drops()
	if drops == 0 || drops >= messages {
		t.Fatalf("%d drops of %d", drops, messages)
	}
	params := wire(uint16(9), uint16(2), be32(64), uint8(1), []byte{0, 0, 0})
	if err := c.Request(Message{Type: queueConfig, Resource: 9, Attrs: params}); err != nil {
		t.Error("a Request into the full buffer:", err)
	}
	if now := c.Drops(); now != drops+1 {
		t.Errorf("the first answer was not lost: %d drops, then %d", drops, now)
	}
	var got seen
	b := got.batch(64)
	for before := -1; before < len(got.replies); {
		before = len(got.replies)
		if err := c.TryReceive(b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(got.replies) + int(drops); n != messages || len(got.errs) > 0 {
		t.Errorf("%d answers and %d drops for %d messages, errors %v", len(got.replies), drops, messages, got.errs)
	}
	if err := c.Send(verdict(nil, FlagRequest, messages)); err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(b); err != nil || got.replies[len(got.replies)-1].Seq != messages {
		t.Errorf("afterwards: %v, %+v", err, got.replies[len(got.replies)-1])
	}
}

func TestNoAllocsInSend(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := dialTest(t, Config{})
	msg := Message{Type: typeNoop}.Append(nil) // not a request: no answer
	if allocs := testing.AllocsPerRun(100, func() {
		if err := c.Send(msg); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
