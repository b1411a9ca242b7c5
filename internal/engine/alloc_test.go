package engine

import (
	"context"
	"testing"
	"time"
)

// null is a transport that always has the same datagrams, and takes all.
type null struct{ datagram []byte }

func (n null) receive(b *Batch, wait bool) error {
	b.n = len(b.slots)
	for i := range b.slots {
		b.slots[i].got = n.datagram
	}
	return nil
}

func (null) send([]byte, bool) error         { return nil }
func (null) setReadDeadline(time.Time) error { return nil }
func (null) close() error                    { return nil }

func TestNoAllocsInReceive(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	overTransports(t, func(k *kernel) {
		ctx, cancel := context.WithCancel(k.Context())
		defer cancel()
		r := k.conn.Receiver(ctx)
		defer r.Close()
		n := 0
		b := NewBatch(1, 4096, func(m Message, err error) {
			if err == nil && m.Type == queuePacket {
				n++
			}
		})
		for _, tt := range []struct {
			name string
			f    func() error
		}{
			{"Receive", func() error { return k.conn.Receive(b) }},
			{"TryReceive", func() error { return k.conn.TryReceive(b) }},
			{"Receiver.Receive", func() error { return r.Receive(b) }},
		} {
			const runs = 100
			k.packets(1, runs+1) // AllocsPerRun warms up with one more
			n = 0
			allocs := testing.AllocsPerRun(runs, func() {
				if err := tt.f(); err != nil {
					k.Fatal(err)
				}
			})
			if allocs != 0 || n != runs+1 {
				k.Errorf("%s: %v allocations, %d packets", tt.name, allocs, n)
			}
		}
		if allocs := testing.AllocsPerRun(100, func() { k.conn.TryReceive(b) }); allocs != 0 {
			k.Errorf("TryReceive of nothing: %v allocations", allocs)
		}
	})
}

func TestMessagesAreMadeAndReadWithoutAllocating(t *testing.T) {
	buf := make([]byte, 0, 4096)
	m := Message{Type: queueVerdict, Resource: 5, Attrs: goldenBindAttrs}
	for _, tt := range []struct {
		name string
		f    func()
	}{
		{"Append", func() { buf = m.Append(buf[:0]) }},
		{"Next", func() {
			for rest := goldenLog; len(rest) > 0; {
				_, rest, _ = Next(rest)
			}
		}},
		{"Reply", func() {
			m, _, _ := Next(goldenShort)
			if r, ok := m.Reply(); !ok || len(r.Text) == 0 {
				t.Error("no reply")
			}
		}},
	} {
		if allocs := testing.AllocsPerRun(100, tt.f); allocs != 0 {
			t.Errorf("%s: %v allocations", tt.name, allocs)
		}
	}
}
