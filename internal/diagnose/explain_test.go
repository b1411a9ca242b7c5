package diagnose

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

// errCause is an error that is not the kernel's.
var errCause = errors.New("the cause")

// notSupported is ENOTSUPP of include/linux/errno.h.
const notSupported = syscall.Errno(524)

func TestRefusalSaysWhatToDo(t *testing.T) {
	always := func(errno syscall.Errno) func(nfnl.Message) error {
		return func(nfnl.Message) error { return errno }
	}
	// Somebody with the privilege: the probe is refused as a message that only
	// the kernel sends.
	privileged := func(m nfnl.Message) error {
		if m.Type == engine.SubsystemQueue<<8 || m.Type == engine.SubsystemLog<<8 {
			return notSupported
		}
		return syscall.EPERM
	}
	for _, tt := range []struct {
		name      string
		answer    func(nfnl.Message) error
		subsystem uint8
		err       error
		is, isNot error
		says      string
	}{
		{"no privilege", always(syscall.EPERM), engine.SubsystemQueue, &engine.Error{Errno: syscall.EPERM}, os.ErrPermission, ErrTaken, "CAP_NET_ADMIN"},
		{"taken", privileged, engine.SubsystemQueue, &engine.Error{Errno: syscall.EPERM}, ErrTaken, os.ErrPermission, "in use by another socket: stop that program"},
		{"a log group that is taken", privileged, engine.SubsystemLog, &engine.Error{Errno: syscall.EPERM}, ErrTaken, os.ErrPermission, "use another number"},
		{"no privilege, and how to get it", always(syscall.EPERM), engine.SubsystemQueue, &engine.Error{Errno: syscall.EPERM}, os.ErrPermission, ErrTaken, "AmbientCapabilities=CAP_NET_ADMIN) or a file capability (setcap cap_net_admin+ep"},
		{"no queues", always(0), engine.SubsystemQueue, &engine.Error{Errno: syscall.EINVAL}, syscall.EINVAL, ErrTaken, "modprobe nfnetlink_queue"},
		{"no logs", always(0), engine.SubsystemLog, &engine.Error{Errno: syscall.EINVAL}, syscall.EINVAL, ErrTaken, "modprobe nfnetlink_log"},
		{"the kernel says why", always(0), engine.SubsystemQueue, &engine.Error{Errno: syscall.EINVAL, Text: "reserved bit set"}, syscall.EINVAL, ErrTaken, "invalid argument (reserved bit set)"},
		{"anything else", always(0), engine.SubsystemQueue, &engine.Error{Errno: syscall.ENOMEM}, syscall.ENOMEM, ErrTaken, "cannot allocate memory"},
		{"not the kernel's", always(syscall.EPERM), engine.SubsystemQueue, errCause, errCause, ErrTaken, errCause.Error()},
		{"wrapped", always(syscall.EPERM), engine.SubsystemQueue, errors.Join(errCause, &engine.Error{Errno: syscall.EPERM}), errCause, ErrTaken, "CAP_NET_ADMIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, _ := nfnltest.New(t, tt.answer)
			err := Refusal((*engine.Conn)(conn), tt.err, tt.subsystem, 7)
			if !errors.Is(err, tt.is) || tt.isNot != nil && errors.Is(err, tt.isNot) || !strings.Contains(err.Error(), tt.says) {
				t.Error(err)
			}
		})
	}
	conn, _ := nfnltest.New(t, always(0))
	if err := Refusal((*engine.Conn)(conn), nil, engine.SubsystemQueue, 7); err != nil {
		t.Error(err)
	}
}

func TestFieldsOfALineMatch(t *testing.T) {
	line := strings.Fields("ffff8881 12  4242 00000000 0 0 0 2 0 99887")
	for _, tt := range []struct {
		want  []string
		match bool
	}{
		{nil, true},
		{[]string{"ffff8881"}, true},
		{[]string{"", "12", "4242"}, true},
		{[]string{1: "12", 2: "424"}, false},
		{[]string{1: "1", 2: "4242"}, false},
	} {
		if got := matches(line, tt.want); got != tt.match {
			t.Errorf("%q: %v", tt.want, got)
		}
	}
}
