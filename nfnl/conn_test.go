package nfnl_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

// The messages of these tests are of NFNL_SUBSYS_QUEUE.
const (
	packet  nfnl.Type = 0x0300 // NFQNL_MSG_PACKET
	config  nfnl.Type = 0x0302 // NFQNL_MSG_CONFIG
	request           = 1      // NLM_F_REQUEST
)

// refuse7 is a kernel that refuses what is about queue 7.
func refuse7(m nfnl.Message) error {
	if m.Resource == 7 {
		return syscall.EBUSY
	}
	return nil
}

func TestRequestReturnsTheKernelsError(t *testing.T) {
	conn, _ := nfnltest.New(t, refuse7)
	if err := conn.Request(nfnl.Message{Type: config, Resource: 5}); err != nil {
		t.Error(err)
	}
	err := conn.Request(nfnl.Message{Type: config, Resource: 7})
	var refused *nfnl.Error
	if !errors.As(err, &refused) || refused.Type != config || !errors.Is(err, syscall.EBUSY) {
		t.Errorf("%#v", err)
	}
}

// What Send sends is answered on the socket, and not by Send.
func TestRefusalOfWhatWasSentIsReceived(t *testing.T) {
	conn, _ := nfnltest.New(t, refuse7)
	msgs := nfnl.Message{Type: config, Flags: request, Seq: 1, Resource: 5}.Append(nil)
	msgs = nfnl.Message{Type: config, Flags: request, Seq: 2, Resource: 7}.Append(msgs)
	if n, err := conn.Send(msgs); n != len(msgs) || err != nil {
		t.Errorf("%d of %d bytes were sent: %v", n, len(msgs), err)
	}
	var answers []nfnl.Error
	b := nfnl.NewBatch(4, 256, func(m nfnl.Message, err error) {
		answer, ok := m.Reply()
		if !ok || err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		answers = append(answers, answer)
	})
	if err := conn.Receive(b); err != nil {
		t.Fatal(err)
	}
	if want := []nfnl.Error{{Type: config, Seq: 2, Errno: syscall.EBUSY}}; !slices.Equal(answers, want) {
		t.Errorf("answers %+v, want %+v", answers, want)
	}
}

// errFull is why the fake kernel of the test below takes nothing.
var errFull = errors.New("full")

func TestSendSaysHowMuchWasSent(t *testing.T) {
	conn, kernel := nfnltest.New(t, refuse7)
	kernel.FailSend(func([]byte) error { return errFull })
	if n, err := conn.Send(nfnl.Message{Type: config}.Append(nil)); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("%d bytes were sent: %v", n, err)
	}
}

func TestReceiveEndsWithTheDeadlineAndWithClose(t *testing.T) {
	conn, kernel := nfnltest.New(t, refuse7)
	var got []uint16
	b := nfnl.NewBatch(4, 256, func(m nfnl.Message, err error) { got = append(got, m.Resource) })
	kernel.Deliver(nfnl.Message{Type: packet, Resource: 5}.Append(nil))
	if err := conn.Receive(b); err != nil || !slices.Equal(got, []uint16{5}) {
		t.Errorf("received %v, %v", got, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if err := conn.Receive(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.Receive(b); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestBatchWithoutAFunctionIsRefused(t *testing.T) {
	conn, _ := nfnltest.New(t, refuse7)
	if err := conn.Receive(nfnl.NewBatch(1, 256, nil)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
