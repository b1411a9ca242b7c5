package engine

import (
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestReplyReadsTheKernelsAnswers(t *testing.T) {
	gone := Reply{Type: queueVerdict, Seq: 4, Errno: syscall.ENOENT}
	text := []byte("Attribute failed policy validation")
	tlvs := goldenShort[36:]
	for _, tt := range []struct {
		name string
		in   []byte
		want Reply
	}{
		{"acknowledgement", goldenAck, Reply{Type: queueConfig, Seq: 1}},
		{"refusal", goldenGone, gone},
		{"refusal that echoes the request", goldenUncap, gone},
		{"refusal with text", goldenShort, Reply{Type: queueConfig, Seq: 3, Errno: syscall.Errno(34), Text: text, Offset: 20}},
		{"text behind the echo", wire(nlmsg(52+48, 2, 0x200, 4, 0), int32(-2), goldenVerdict, tlvs),
			Reply{Type: queueVerdict, Seq: 4, Errno: syscall.ENOENT, Text: text, Offset: 20}},
		{"text behind an echo that needs padding",
			wire(nlmsg(36+4+48, 2, 0x200, 4, 0), int32(-2), nlmsg(18, 0x0301, 1, 4, 0), uint32(0), tlvs),
			Reply{Type: queueVerdict, Seq: 4, Errno: syscall.ENOENT, Text: text, Offset: 20}},
		{"attributes of other kinds", wire(nlmsg(36+20, 2, 0x300, 4, 0), int32(-2), goldenVerdict[:16],
			uint16(8), uint16(3), uint32(7), uint16(6), uint16(2), uint32(0), uint16(4), uint16(0x8004)), gone},
		{"text cut short", wire(nlmsg(36+8, 2, 0x300, 4, 0), int32(-2), goldenVerdict[:16], uint16(39), uint16(1), "Attr"), gone},
		{"echo longer than the message", wire(nlmsg(36, 2, 0x200, 4, 0), int32(-2), nlmsg(4000, 0x0301, 1, 4, 0)), gone},
		{"echo of an absurd length", wire(nlmsg(36, 2, 0x200, 4, 0), int32(-2), nlmsg(math.MaxUint32, 0x0301, 1, 4, 0)), gone},
		{"port of the request", wire(nlmsg(36, 2, 0x100, 4, 9), int32(0), nlmsg(32, 0x0301, 1, 4, 8)),
			Reply{Type: queueVerdict, Seq: 4, PortID: 8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _, err := Next(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := m.Reply()
			if !ok || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("\n got %+v, %v\nwant %+v", got, ok, tt.want)
			}
		})
	}
}

func TestWhatIsNoAnswerHasNoReply(t *testing.T) {
	for name, in := range map[string][]byte{
		"packet":    goldenPacket,
		"DONE":      nlmsg(16, 3, 0, 0, 0),
		"too short": wire(nlmsg(35, 2, 0, 0, 0), int32(-1), goldenBind[:15]),
		"empty":     nlmsg(16, 2, 0, 0, 0),
	} {
		m, _, err := Next(in)
		if err != nil {
			t.Fatal(name, err)
		}
		if r, ok := m.Reply(); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRefusalsMatchStandardErrors(t *testing.T) {
	for _, tt := range []struct {
		errno syscall.Errno
		match error
	}{
		{syscall.EPERM, os.ErrPermission},
		{syscall.EACCES, os.ErrPermission},
		{syscall.ENOENT, os.ErrNotExist},
		{syscall.EOPNOTSUPP, errors.ErrUnsupported},
		{524, errors.ErrUnsupported},
		{syscall.EBUSY, syscall.EBUSY},
	} {
		err := Reply{Type: queueConfig, Seq: 7, Errno: tt.errno}.Err()
		if !errors.Is(err, tt.match) || !errors.Is(err, tt.errno) {
			t.Errorf("%v does not match %v", err, tt.match)
		}
		if errors.Is(err, os.ErrClosed) {
			t.Errorf("%v matches os.ErrClosed", err)
		}
		var e *Error
		if !errors.As(err, &e) || e.Type != queueConfig || e.Seq != 7 {
			t.Errorf("%#v does not tell what was refused", err)
		}
	}
	if err := (Reply{Type: queueConfig, Seq: 7}).Err(); err != nil {
		t.Errorf("an acknowledgement is the error %v", err)
	}
	// A number that no kernel sends must still be readable.
	for _, n := range []int32{5, math.MinInt32, math.MinInt32 + 1, math.MaxInt32} {
		m := Message{Type: typeError, Attrs: wire(n, goldenBind[:16])}
		if r, ok := m.Reply(); !ok || r.Err() == nil || r.Err().Error() == "" {
			t.Errorf("error %d: %+v", n, r)
		}
	}
}

func TestErrorsSayWhatTheKernelSaid(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&Error{Errno: syscall.Errno(34), Text: "too short", Offset: 20}, "(too short, at byte 20)"},
		{&Error{Errno: syscall.Errno(34), Text: "too short"}, "(too short)"},
		{&Error{Errno: 524}, "ENOTSUPP"},
	} {
		if got := tt.err.Error(); !strings.Contains(got, tt.want) {
			t.Errorf("%q does not say %q", got, tt.want)
		}
	}
}
