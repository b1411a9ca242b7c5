//go:build linux

package log

import (
	"errors"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// TestFakeLogKernelAnswersAsTheRealOne holds what nflogtest knows of the kernel
// against the kernel.
func TestFakeLogKernelAnswersAsTheRealOne(t *testing.T) {
	n := endtoend.NewNet(t)
	real, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer real.Close()
	fake, _ := nflogtest.New(t)
	const config = 0x0401
	for _, c := range []struct {
		name  string
		typ   nfnl.Type
		group uint16
		attrs []byte
		of    nfnl.Family
	}{
		{"nothing on a group that is not bound", config, 5, nil, 0},
		{"unbind a group that is not bound", config, 5, attr.AppendUint8(nil, 1, 2), 0},
		{"no command on a group that is not bound", config, 5, attr.AppendUint8(nil, 1, 0), 0},
		{"bind", config, 5, attr.AppendUint8(nil, 1, 1), 0},
		{"bind again", config, 5, attr.AppendUint8(nil, 1, 1), 0},
		{"bind another", config, 6, attr.AppendUint8(nil, 1, 1), 0},
		{"nothing", config, 5, nil, 0},
		{"no command", config, 5, attr.AppendUint8(nil, 1, 0), 0},
		{"unknown command", config, 5, attr.AppendUint8(nil, 1, 9), 0},
		{"a mode", config, 5, attr.AppendBytes(nil, 2, []byte{0, 0, 0, 9, 2, 0}), 0},
		{"a short mode", config, 5, attr.AppendBytes(nil, 2, []byte{0, 0, 0, 9, 2}), 0},
		{"short flags", config, 5, attr.AppendUint8(nil, 6, 1), 0},
		{"flags", config, 5, attr.AppendUint16(nil, 6, 3), 0},
		{"a packet", 0x0400, 5, nil, 0},
		{"an unknown message", 0x0407, 5, nil, 0},
		{"unbind", config, 5, attr.AppendUint8(nil, 1, 2), 0},
		{"unbind again", config, 5, attr.AppendUint8(nil, 1, 2), 0},
		{"short threshold", config, 6, attr.AppendUint8(nil, 5, 1), 0},
		{"short timeout", config, 6, attr.AppendUint16(nil, 4, 1), 0},
		{"short buffer size", config, 6, attr.AppendUint8(nil, 3, 1), 0},
		{"a buffer size that is too large", config, 6, attr.AppendUint32(nil, 3, 1<<20), 0},
		{"bind a family", config, 0, attr.AppendUint8(nil, 1, 3), nfnl.IPv4},
		{"unbind a family", config, 0, attr.AppendUint8(nil, 1, 4), nfnl.IPv4},
		{"bind a family that there is not", config, 0, attr.AppendUint8(nil, 1, 3), 200},
		{"unbind a family that there is not", config, 0, attr.AppendUint8(nil, 1, 4), 200},
		{"bind once more", config, 5, attr.AppendUint8(nil, 1, 1), 0},
	} {
		m := nfnl.Message{Type: c.typ, Family: c.of, Resource: c.group, Attrs: c.attrs}
		want, got := errnoOf(real.Request(m)), errnoOf(fake.Request(m))
		if got != want {
			t.Errorf("%s: the fake answers %v, the kernel %v", c.name, got, want)
		}
	}
}

// errnoOf returns the kernel's answer, 0 for an acknowledgement.
func errnoOf(err error) (errno syscall.Errno) {
	errors.As(err, &errno)
	return errno
}
