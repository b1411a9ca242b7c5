package nfqueue_test

import (
	"bytes"
	"errors"
	"math"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// bindMessage returns the message that binds to queue 5, without the flags that
// a Request sets.
func bindMessage(params, maxLen, flags, mask string) []byte {
	body := wire(tlv(1, "01 00 0000"), testkit.List(tlv(2, params)), tlv(3, maxLen), tlv(5, flags), tlv(4, mask))
	return wire(header(20+len(body), 0x0302, 0, 0, "00"), body)
}

func TestConfigurationMessages(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  nfqueue.Config
		want []byte
	}{
		"default":     {nfqueue.Config{}, bindMessage("0000fffb 02", "00010000", "00000004", "0000001f")},
		"copy range":  {nfqueue.Config{CopyRange: 128}, bindMessage("00000080 02", "00010000", "00000004", "0000001f")},
		"metadata":    {nfqueue.Config{MetadataOnly: true}, bindMessage("00000000 01", "00010000", "00000004", "0000001f")},
		"length":      {nfqueue.Config{MaxLen: 65536}, bindMessage("0000fffb 02", "00010000", "00000004", "0000001f")},
		"fail open":   {nfqueue.Config{FailOpen: true}, bindMessage("0000fffb 02", "00010000", "00000005", "0000001f")},
		"conntrack":   {nfqueue.Config{Conntrack: true}, bindMessage("0000fffb 02", "00010000", "00000006", "0000001f")},
		"segments":    {nfqueue.Config{Segment: true}, bindMessage("0000fffb 02", "00010000", "00000000", "0000001f")},
		"owner":       {nfqueue.Config{Owner: true}, bindMessage("0000fffb 02", "00010000", "0000000c", "0000001f")},
		"security":    {nfqueue.Config{SecurityContext: true}, bindMessage("0000fffb 02", "00010000", "00000014", "0000001f")},
		"a new flag":  {nfqueue.Config{Flags: 1 << 9}, bindMessage("0000fffb 02", "00010000", "00000204", "0000021f")},
		"every flag":  {nfqueue.Config{FailOpen: true, Conntrack: true, Owner: true, SecurityContext: true}, bindMessage("0000fffb 02", "00010000", "0000001f", "0000001f")},
		"65535":       {nfqueue.Config{CopyRange: 65535}, bindMessage("0000fffb 02", "00010000", "00000004", "0000001f")},
		"all ones":    {nfqueue.Config{CopyRange: math.MaxUint32}, bindMessage("0000fffb 02", "00010000", "00000004", "0000001f")},
		"small range": {nfqueue.Config{CopyRange: 1, MaxLen: 1}, bindMessage("00000001 02", "00000001", "00000004", "0000001f")},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Queue = 5
			m, err := c.cfg.Bind()
			if got := m.Append(nil); err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("got  %x, %v\nwant %x", got, err, c.want)
			}
		})
	}
	want := wire(header(28, 0x0302, 0, 0, "00"), tlv(1, "02 00 0000"))
	if got := (nfqueue.Config{Queue: 5}).Unbind().Append(nil); !bytes.Equal(got, want) {
		t.Errorf("unbind: got %x, want %x", got, want)
	}
}

// wrong has a Config for each way to be wrong, under what the error must say.
var wrong = map[string]nfqueue.Config{
	"Config.MetadataOnly":                    {CopyRange: 1, MetadataOnly: true},
	"Config.Flags is 0x11":                   {Flags: 0x11},
	"Config.Batch is -1":                     {Batch: -1},
	"Config.Batch is 257":                    {Batch: 257},
	"Config.FlushAfter is -1ns":              {FlushAfter: -1},
	"Config.BusyPoll is -1ns":                {BusyPoll: -1},
	"Config.BusyPoll is 10.000001ms":         {BusyPoll: 10*time.Millisecond + 1},
	"Config.Fallback is Hold":                {Fallback: nfqueue.Hold()},
	"Config.Fallback is repeat without":      {Fallback: nfqueue.Repeat().WithPriority(1)},
	"Config.Fallback is requeue to 7":        {Queue: 7, Fallback: nfqueue.Requeue(7).WithMark(1)},
	"Config.Fallback is requeue to 7 or":     {Queue: 7, Fallback: nfqueue.RequeueOrAccept(7)},
	"Config.Fallback is accept, payload":     {Fallback: nfqueue.Accept().WithPayload(nil)},
	"Config.Fallback is accept, link head":   {Fallback: nfqueue.Accept().WithLinkHeader(nil)},
	"Config.Socket.ReadBuffer is -1":         {Socket: nfnl.Config{ReadBuffer: -1}},
	"Config.Socket.ReadBuffer is 1073741824": {Socket: nfnl.Config{ReadBuffer: 1 << 30}},
	"Config.Socket.NetNS is -1":              {Socket: nfnl.Config{NetNS: -1}},
}

func TestWrongConfigIsRefusedBeforeTheKernelIsAsked(t *testing.T) {
	for says, cfg := range wrong {
		conn, k := nfqueuetest.New(t)
		k.Refuse(func(m nfnl.Message) error {
			t.Errorf("%s: the kernel was asked %v", says, m.Type)
			return nil
		})
		_, openErr := nfqueue.Open(cfg)
		_, connErr := nfqueue.OpenConn(conn, cfg)
		_, bindErr := cfg.Bind()
		for _, err := range []error{openErr, connErr, bindErr} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want one with %q", err, says)
			}
		}
	}
}

func TestConfigAtItsLimits(t *testing.T) {
	for _, cfg := range []nfqueue.Config{
		{CopyRange: 65531},
		{Batch: 256, BusyPoll: 10 * time.Millisecond, FlushAfter: time.Hour, MaxLen: 1<<32 - 1},
		{Batch: 1, Fallback: nfqueue.RequeueOrAccept(9).WithMark(1).WithPriority(2)},
		{Fallback: nfqueue.Repeat().WithMark(0)},
	} {
		open(t, cfg)
	}
}

func TestConfigIsNotWrittenTo(t *testing.T) {
	cfg := nfqueue.Config{Queue: 7}
	before := cfg
	q, _ := nfqueuetest.Open(t, cfg)
	q.NewBatch()
	if !reflect.DeepEqual(cfg, before) {
		t.Errorf("it became %+v", cfg)
	}
}

func TestRefusalToOpenSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(nfnl.Message) error
		is     error
		says   string
	}{
		"no privilege": {func(nfnl.Message) error { return syscall.EPERM }, os.ErrPermission, "CAP_NET_ADMIN"},
		"taken": {func(m nfnl.Message) error {
			if m.Type == 0x0302 {
				return syscall.EPERM
			}
			return nil
		}, nfqueue.ErrTaken, "another socket"},
		"no module":  {func(nfnl.Message) error { return syscall.EINVAL }, syscall.EINVAL, "nfnetlink_queue"},
		"old kernel": {func(nfnl.Message) error { return syscall.EOPNOTSUPP }, errors.ErrUnsupported, "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, k := nfqueuetest.New(t)
			k.Refuse(c.refuse)
			_, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "queue 7") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Only the fields that are set are named, and BestEffort only where it helps.
func TestRefusalOfAFlagNamesWhoAskedForIt(t *testing.T) {
	for says, cfg := range map[string]nfqueue.Config{
		"lacks what Config.Conntrack asks for; see Config.BestEffort":         {Conntrack: true},
		"lacks what Config.ConntrackVerdicts asks for; see Config.BestEffort": {ConntrackVerdicts: true},
		"lacks what Config.SecurityContext asks for; see Config.BestEffort":   {SecurityContext: true},
		"Config.Conntrack or Config.SecurityContext or Config.Flags asks":     {Conntrack: true, SecurityContext: true, Flags: 1 << 20},
		"operation not supported: this kernel lacks what Config.Flags asks":   {Conntrack: true, Flags: 1 << 20, BestEffort: true},
		"queue 7: operation not supported":                                    {Owner: true, FailOpen: true},
	} {
		conn, k := nfqueuetest.New(t)
		k.Refuse(func(nfnl.Message) error { return syscall.EOPNOTSUPP })
		cfg.Queue = 7
		_, err := nfqueue.OpenConn(conn, cfg)
		if !errors.Is(err, syscall.EOPNOTSUPP) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
		if useful := strings.Contains(says, "see Config.BestEffort"); err != nil && !cfg.Conntrack && strings.Contains(err.Error(), "BestEffort") != useful {
			t.Errorf("BestEffort is named, or is not: %v", err)
		}
	}
}

func TestConntrackVerdictsNeedAKernelThatTakesThem(t *testing.T) {
	cfg := nfqueue.Config{Queue: 7, ConntrackVerdicts: true}
	if m, _ := cfg.Bind(); bytes.Contains(m.Attrs, tlv(5, "00000006")) {
		t.Error("every packet will cost its connection")
	}
	conn, _ := nfqueuetest.New(t)
	if q, err := nfqueue.OpenConn(conn, cfg); err != nil {
		t.Error(err)
	} else {
		q.Close()
	}
	conn, k := nfqueuetest.New(t)
	k.Refuse(func(m nfnl.Message) error { // as one without NETFILTER_NETLINK_GLUE_CT
		for d := attr.NewDecoder(m.Attrs); d.Next(); {
			if d.Type() == 5 && d.Uint32()&2 != 0 {
				return syscall.EOPNOTSUPP
			}
		}
		return nil
	})
	_, err := nfqueue.OpenConn(conn, cfg)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "ConntrackVerdicts") {
		t.Errorf("got %v", err)
	}
}

func TestQueueThatTheConnectionHasIsAdopted(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	old := nfqueue.Config{Queue: 7, CopyRange: 20}
	bind, err := old.Bind()
	if err == nil {
		err = conn.Request(bind)
	}
	if err != nil {
		t.Fatal(err)
	}
	k.SetNextID(1000)
	before := k.Enqueue(packet("before"))
	reported := new(testkit.Errors)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, OnError: reported.Add})
	if err != nil {
		t.Fatal(err)
	}
	after := k.Enqueue(packet("after"))
	lengths := make(chan int, 2)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		lengths <- len(p.Payload)
		return nfqueue.Accept()
	})
	wantVerdict(t, k, before, nfqueue.Accept())
	wantVerdict(t, k, after, nfqueue.Accept())
	if a, b := <-lengths, <-lengths; a != 20 || b != len(udpPacket("after")) {
		t.Errorf("payloads of %d and %d bytes", a, b)
	}
	reported.WantNoMore(t) // 999 packets before the first one are not lost
}

// Each would read the other's packets, and give them no verdict.
func TestConnectionIsOfOneQueue(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	k.Refuse(func(nfnl.Message) error { return syscall.EPERM })
	if _, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7}); !errors.Is(err, syscall.EPERM) {
		t.Fatal(err)
	}
	k.Refuse(nil)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7}) // what failed has no part in it
	if err != nil {
		t.Fatal(err)
	}
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == configType {
			t.Errorf("the kernel was asked for %d", m.Resource)
		}
		return nil
	})
	_, again := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7})
	_, other := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 8})
	_, log := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{8}})
	for name, err := range map[string]error{"queue 7": again, "queue 8": other, "group 8": log} {
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "a Conn of its own") {
			t.Errorf("%s: %v", name, err)
		}
	}
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	q.Close()
	if _, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestQueueWhoseAnswerWasLostIsOpened(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	k.LoseAnswers(1)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7})
	if err != nil {
		t.Fatal(err)
	}
	id := k.Enqueue(packet("x"))
	start(t, q, accept)
	wantVerdict(t, k, id, nfqueue.Accept())
}

// What bounds memory by default; internal/endtoend has what the kernel makes of it.
func TestReadBufferGoesByCopyRangeAndQueues(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		cfg  nfqueue.Config
		want int
	}{
		{nfqueue.Config{}, 8192 * kib},
		{nfqueue.Config{CopyRange: 65535}, 8192 * kib},
		{nfqueue.Config{MetadataOnly: true}, 450 * kib},
		{nfqueue.Config{CopyRange: 128}, 525 * kib},
	} {
		for n, share := range map[int]int{1: 1, 2: 2, 20: 8} {
			if got := nfqueue.AskedReadBuffer(c.cfg, n); got != c.want/share {
				t.Errorf("%+v, one of %d: %d bytes, want %d", c.cfg, n, got, c.want/share)
			}
		}
	}
}
