package nfqueuetest_test

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// config returns a configuration message for queue 7.
func config(attrs ...[]byte) nfnl.Message {
	return nfnl.Message{Type: 0x0302, Resource: 7, Attrs: slices.Concat(attrs...)}
}

// verdict returns a verdict message for queue 7.
func verdict(attrs ...[]byte) nfnl.Message {
	m := config(attrs...)
	m.Type = 0x0301
	return m
}

// number and value return attributes.
func number(typ uint16, v uint32) []byte         { return attr.AppendUint32(nil, typ, v) }
func value(typ uint16, v ...byte) []byte         { return attr.AppendBytes(nil, typ, v) }
func head(word uint8, id uint8) []byte           { return value(2, 0, 0, 0, word, 0, 0, 0, id) }
func command(c byte) []byte                      { return value(1, c, 0, 0, 0) }
func with(m nfnl.Message, q uint16) nfnl.Message { m.Resource = q; return m }

// The kernel's answers, as research on a 6.18 kernel found them.
func TestAnswersAreTheKernels(t *testing.T) {
	bound := command(1)
	for name, c := range map[string]struct {
		before *nfnl.Message
		m      nfnl.Message
		want   error
	}{
		"bind":                            {nil, config(bound), nil},
		"bind twice":                      {&nfnl.Message{}, config(bound), syscall.EBUSY},
		"unbind":                          {&nfnl.Message{}, config(command(2)), nil},
		"unbind ignores the rest":         {&nfnl.Message{}, config(command(2), number(3, 1)), nil},
		"unbind what is not there":        {nil, config(command(2)), syscall.ENODEV},
		"no command":                      {nil, config(command(0)), syscall.EOPNOTSUPP},
		"unknown command":                 {&nfnl.Message{}, config(command(9)), syscall.EOPNOTSUPP},
		"bind a family":                   {nil, config(command(3), value(5, 1)), syscall.ERANGE},
		"bind a family, then the rest":    {nil, config(command(3), number(5, 4)), nil},
		"unbind a family":                 {nil, config(command(4)), nil},
		"empty":                           {&nfnl.Message{}, config(), nil},
		"empty, nothing there":            {nil, config(), syscall.ENODEV},
		"length of what is not there":     {nil, config(number(3, 1)), syscall.ENODEV},
		"another queue's length":          {&nfnl.Message{}, with(config(number(3, 1)), 8), syscall.ENODEV},
		"flags without mask":              {&nfnl.Message{}, config(number(5, 4)), syscall.EINVAL},
		"mask without flags":              {&nfnl.Message{}, config(number(4, 4)), nil},
		"unknown flag":                    {&nfnl.Message{}, config(number(5, 32), number(4, 32)), syscall.EOPNOTSUPP},
		"unknown flag leaves no queue":    {ptr(config(bound, number(5, 32), number(4, 32))), config(), syscall.ENODEV},
		"short command":                   {nil, config(value(1, 1, 0)), syscall.ERANGE},
		"short parameters":                {&nfnl.Message{}, config(value(2, 0, 0, 0, 0)), syscall.ERANGE},
		"unknown mode is ignored":         {&nfnl.Message{}, config(value(2, 0, 0, 0, 0, 9)), nil},
		"a packet":                        {nil, nfnl.Message{Type: 0x0300}, syscall.Errno(524)},
		"unknown message":                 {nil, nfnl.Message{Type: 0x0309}, syscall.EINVAL},
		"verdict on nothing":              {&nfnl.Message{}, verdict(head(1, 9)), syscall.ENOENT},
		"verdict without a queue":         {nil, verdict(head(1, 9)), syscall.ENODEV},
		"verdict without a header":        {&nfnl.Message{}, verdict(), syscall.EINVAL},
		"verdict with a short header":     {&nfnl.Message{}, verdict(value(2, 0, 0, 0, 1)), syscall.ERANGE},
		"verdict with a short mark":       {&nfnl.Message{}, verdict(head(1, 1), value(3, 0, 0)), syscall.ERANGE},
		"verdict that steals":             {&nfnl.Message{}, verdict(head(2, 1)), syscall.EINVAL},
		"verdict that there is none":      {&nfnl.Message{}, verdict(head(6, 1)), syscall.EINVAL},
		"verdict batch, which it lacks":   {&nfnl.Message{}, nfnl.Message{Type: 0x0303, Resource: 7}, syscall.EINVAL},
		"another subsystem's message":     {nil, nfnl.Message{Type: 0x0402}, syscall.EINVAL},
		"longer number than it has to be": {&nfnl.Message{}, config(value(3, 0, 0, 0, 1, 0, 0, 0, 0)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, k := nfqueuetest.New(t)
			if c.before != nil {
				if c.before.Type == 0 {
					*c.before = config(bound, value(2, 0, 0, 0, 0, 2))
				}
				conn.Request(*c.before)
				k.Enqueue(nfqueue.Packet{Payload: telnet})
			}
			if err := conn.Request(c.m); !errors.Is(err, c.want) {
				t.Errorf("answered %v, want %v", err, c.want)
			}
		})
	}
}

func ptr(m nfnl.Message) *nfnl.Message { return &m }

func TestRefusedVerdictLeavesThePacketWaiting(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	conn.Request(config(command(1), value(2, 0, 0, 0, 0, 2)))
	id := k.Enqueue(nfqueue.Packet{Payload: telnet})
	if err := conn.Request(verdict(head(6, 1))); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(k.Waiting(), []uint32{id}) {
		t.Errorf("waiting are %v", k.Waiting())
	}
	if err := conn.Request(verdict(head(1, 1))); err != nil || len(k.Waiting()) > 0 {
		t.Errorf("%v, waiting are %v", err, k.Waiting())
	}
	if err := conn.Request(verdict(head(1, 1))); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the second verdict: %v", err)
	}
}

func TestQueueThatIsFullTakesNoPacket(t *testing.T) {
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, MaxLen: 2})
	p := nfqueue.Packet{Payload: telnet}
	ids := []uint32{k.Enqueue(p), k.Enqueue(p), k.Enqueue(p)}
	if !slices.Equal(ids, []uint32{1, 2, 0}) {
		t.Errorf("IDs %v", ids)
	}
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	if id := k.Enqueue(p); id != 3 {
		t.Errorf("the next ID is %d", id)
	}
}

func TestWithoutAQueueThereIsNoPacket(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	if id := k.Enqueue(nfqueue.Packet{Payload: telnet}); id != 0 {
		t.Errorf("ID %d without a queue", id)
	}
	conn.Request(config(command(1))) // whose mode is NONE
	if id := k.Enqueue(nfqueue.Packet{Payload: telnet}); id != 0 {
		t.Errorf("ID %d in mode NONE", id)
	}
}

// roundTrip returns p as a queue with the Config delivers it.
func roundTrip(t *testing.T, cfg nfqueue.Config, p nfqueue.Packet) nfqueue.Packet {
	t.Helper()
	cfg.Queue = 7
	q, k := nfqueuetest.Open(t, cfg)
	k.Enqueue(p)
	b := q.NewBatch()
	if err := q.Receive(b); err != nil || len(b.Packets) != 1 {
		t.Fatalf("%d packets, %v", len(b.Packets), err)
	}
	return *b.Packets[0].Clone()
}

// everything is a packet with all its fields set.
var everything = nfqueue.Packet{
	Proto: 0x88cc, Family: nfnl.Bridge, Hook: nfnl.Forward, InDev: 2, OutDev: 3, PhysInDev: 4, PhysOutDev: 5,
	HardwareAddr: []byte{2, 0, 0, 0, 0, 1}, LinkHeader: make([]byte, 14), VLAN: attr.VLAN{Protocol: 0x8100, TCI: 5},
	Payload: telnet, Len: 1500, Time: time.Unix(5, 7000), Mark: 6, Priority: 7,
	GSO: true, ChecksumPending: true, ChecksumUnverified: true, HasOwner: true, UID: 8, GID: 9, ClassID: 10,
	SecurityContext: []byte("system_u"),
}

func TestPacketComesAsItWasEnqueued(t *testing.T) {
	got := roundTrip(t, nfqueue.Config{Owner: true, SecurityContext: true}, everything)
	if got.ID != 1 || got.Queue != 7 {
		t.Errorf("ID %d of queue %d", got.ID, got.Queue)
	}
	if got.Proto != 0x88cc || got.Family != nfnl.Bridge || got.Hook != nfnl.Forward || got.VLAN != everything.VLAN ||
		got.InDev != 2 || got.OutDev != 3 || got.PhysInDev != 4 || got.PhysOutDev != 5 || got.Mark != 6 || got.Priority != 7 {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(got.HardwareAddr, everything.HardwareAddr) || !slices.Equal(got.LinkHeader, everything.LinkHeader) ||
		!slices.Equal(got.Payload, telnet) || got.Len != 1500 || !got.Time.Equal(everything.Time) {
		t.Errorf("got %+v", got)
	}
	if !got.GSO || !got.ChecksumPending || !got.ChecksumUnverified || !got.HasOwner || got.UID != 8 || got.GID != 9 ||
		got.ClassID != 10 || string(got.SecurityContext) != "system_u" {
		t.Errorf("got %+v", got)
	}
}

func TestOwnerComesOnlyIfAskedFor(t *testing.T) {
	got := roundTrip(t, nfqueue.Config{}, everything)
	if got.HasOwner || got.UID != 0 || got.GID != 0 || got.SecurityContext != nil || got.ClassID != 10 {
		t.Errorf("got %+v", got)
	}
}

func TestMetadataOnlyHasNoPayload(t *testing.T) {
	got := roundTrip(t, nfqueue.Config{MetadataOnly: true}, everything)
	if got.Payload != nil || got.Len != 0 || got.Mark != 6 {
		t.Errorf("got %+v", got)
	}
}

func TestFamilyIsThatOfThePayload(t *testing.T) {
	for first, want := range map[byte]struct {
		family nfnl.Family
		proto  uint16
	}{0x45: {nfnl.IPv4, 0x0800}, 0x60: {nfnl.IPv6, 0x86dd}, 0x00: {engine.Unspec, 0}} {
		got := roundTrip(t, nfqueue.Config{}, nfqueue.Packet{Payload: []byte{first}})
		if got.Family != want.family || got.Proto != want.proto {
			t.Errorf("%#x is %v, %#x", first, got.Family, got.Proto)
		}
	}
}

func TestVerdictWaits(t *testing.T) {
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
	id := k.Enqueue(nfqueue.Packet{Payload: telnet})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer q.Close()
	wg.Go(func() { q.Run(t.Context(), markTelnet) })
	if got, want := k.Verdict(id), nfqueue.Accept().WithMark(23); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestChangesAreReadFromTheVerdict(t *testing.T) {
	labels := attr.ConntrackLabels{1}
	for _, v := range []nfqueue.Verdict{
		nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100, TCI: 5}),
		nfqueue.Accept().WithLinkHeader([]byte("fourteen bytes")),
		nfqueue.Accept().WithConntrackMark(1, 3),
		nfqueue.Accept().WithConntrackMark(1, 0xffffffff),
		nfqueue.Accept().WithConntrackMark(0, 0),
		nfqueue.Accept().WithConntrackLabels(labels, labels),
		nfqueue.Accept().WithConntrackTimeout(5 * time.Second),
		nfqueue.Accept().WithConntrackStatus(attr.StatusAssured),
		nfqueue.Drop().WithMark(1).WithPriority(2).WithRawPayload([]byte("new")),
	} {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, ConntrackVerdicts: true})
		p := everything
		p.Len, p.GSO = 0, false // not cut, nor to be cut
		id := k.Enqueue(p)
		b := q.NewBatch()
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		b.Verdicts[0] = v
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		if got := k.Verdict(id); !got.Equal(v) {
			t.Errorf("got %v, want %v", got, v)
		}
	}
}

// A failing is a test that may fail.
type failing struct {
	testing.TB
	errors int
}

func (f *failing) Errorf(string, ...any) { f.errors++ }

func TestWordThatWouldSkipHooksFailsTheTest(t *testing.T) {
	f := &failing{TB: t}
	conn, k := nfqueuetest.New(f)
	conn.Request(config(command(1), value(2, 0, 0, 0, 0, 2)))
	k.Enqueue(nfqueue.Packet{Payload: telnet})
	if err := conn.Request(verdict(value(2, 0, 1, 0, 1, 0, 0, 0, 1))); err != nil || f.errors != 1 {
		t.Errorf("%v, %d errors", err, f.errors)
	}
}
