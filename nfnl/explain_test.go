package nfnl

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestExplainSaysWhatToDo(t *testing.T) {
	always := func(errno syscall.Errno) func(Message) syscall.Errno {
		return func(Message) syscall.Errno { return errno }
	}
	// Somebody with the privilege: the probe is refused as a message that only
	// the kernel sends.
	privileged := func(m Message) syscall.Errno {
		if m.Type == queuePacket || m.Type == logPacket {
			return errNotSupp
		}
		return syscall.EPERM
	}
	for _, tt := range []struct {
		name      string
		answer    func(Message) syscall.Errno
		subsystem uint8
		err       error
		is, isNot error
		says      string
	}{
		{"no privilege", always(syscall.EPERM), SubsystemQueue, &Error{Errno: syscall.EPERM}, os.ErrPermission, ErrTaken, "CAP_NET_ADMIN"},
		{"taken", privileged, SubsystemQueue, &Error{Errno: syscall.EPERM}, ErrTaken, os.ErrPermission, "in use by another socket: stop that program"},
		{"a log group that is taken", privileged, SubsystemLog, &Error{Errno: syscall.EPERM}, ErrTaken, os.ErrPermission, "use another number"},
		{"no privilege, and how to get it", always(syscall.EPERM), SubsystemQueue, &Error{Errno: syscall.EPERM}, os.ErrPermission, ErrTaken, "AmbientCapabilities=CAP_NET_ADMIN) or a file capability (setcap cap_net_admin+ep"},
		{"no queues", always(0), SubsystemQueue, &Error{Errno: syscall.EINVAL}, syscall.EINVAL, ErrTaken, "modprobe nfnetlink_queue"},
		{"no logs", always(0), SubsystemLog, &Error{Errno: syscall.EINVAL}, syscall.EINVAL, ErrTaken, "modprobe nfnetlink_log"},
		{"the kernel says why", always(0), SubsystemQueue, &Error{Errno: syscall.EINVAL, Text: "reserved bit set"}, syscall.EINVAL, ErrTaken, "invalid argument (reserved bit set)"},
		{"anything else", always(0), SubsystemQueue, &Error{Errno: syscall.ENOMEM}, syscall.ENOMEM, ErrTaken, "cannot allocate memory"},
		{"not the kernel's", always(syscall.EPERM), SubsystemQueue, errCause, errCause, ErrTaken, errCause.Error()},
		{"wrapped", always(syscall.EPERM), SubsystemQueue, errors.Join(errCause, &Error{Errno: syscall.EPERM}), errCause, ErrTaken, "CAP_NET_ADMIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overTransports(t, func(k *kernel) {
				k.answer = tt.answer
				err := k.conn.Explain(tt.err, tt.subsystem, 7)
				if !errors.Is(err, tt.is) || tt.isNot != nil && errors.Is(err, tt.isNot) || !strings.Contains(err.Error(), tt.says) {
					k.Error(err)
				}
			})
		})
	}
	overTransports(t, func(k *kernel) {
		if err := k.conn.Explain(nil, SubsystemQueue, 7); err != nil {
			k.Error(err)
		}
	})
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
