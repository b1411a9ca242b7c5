package nfnl_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
)

// noop is of netlink's own messages, which need no privilege.
const noop nfnl.Type = 1 // NLMSG_NOOP

func TestSendStopsAtAMessageThatIsTooLong(t *testing.T) {
	lab.Require(t)
	conn, err := nfnl.Dial(nfnl.Config{})
	testkit.Must(t, err)
	defer conn.Close()
	short := nfnl.Message{Type: noop}.Append(nil)
	long := nfnl.Message{Type: noop, Attrs: make([]byte, 16<<20)}.Append(nil) // longer than a send buffer
	n, err := conn.Send(slices.Concat(short, short, long, short))
	if n != 2*len(short) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d bytes were sent: %v, want %d: %v", n, err, 2*len(short), syscall.EMSGSIZE)
	}
}
