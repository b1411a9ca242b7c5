package engine

import (
	"errors"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

// oddSize is that of no other Batch's buffers.
const oddSize = 123 << 10

func needMapping(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("buffers are in the Go heap on " + runtime.GOOS)
	}
}

func TestBuffersAreOutsideOfTheGoHeap(t *testing.T) {
	needMapping(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := NewBatch(64, oddSize, func(Message, error) {})
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 1<<20 {
		t.Errorf("a Batch with buffers of %d bytes takes %d bytes of the heap", len(b.memory.bytes), n)
	}
	runtime.KeepAlive(b)
}

// begins returns where b's memory is.
func begins(b *Batch) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b.memory.bytes))) }

func TestMemoryOfABatchIsUsedAgain(t *testing.T) {
	needMapping(t)
	for name, end := range map[string]func(b *Batch){
		"released": func(b *Batch) { b.Release(); b.Release() },
		"garbage":  func(*Batch) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBatch(8, oddSize, func(Message, error) {})
			for i := range b.memory.bytes {
				b.memory.bytes[i] = 0xff
			}
			at := begins(b)
			end(b)
			b = nil
			var next *Batch
			for stop := time.Now().Add(testkit.Patience); next == nil || begins(next) != at; next = NewBatch(8, oddSize, func(Message, error) {}) {
				if time.Now().After(stop) {
					t.Fatal("its memory is not used again")
				}
				if next != nil {
					defer next.Release() // later, or its memory would be the first to be used again
				}
				runtime.GC()
			}
			for i, c := range next.memory.bytes {
				if c != 0 {
					t.Fatalf("byte %d is %#x", i, c)
				}
			}
			next.Release()
		})
	}
}

func TestReleasedBatchReceivesNothing(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s seen
		b := s.batch(4)
		k.packets(1, 1)
		if err := k.conn.Receive(b); err != nil {
			k.Fatal(err)
		}
		kept := b.slots[0].got
		b.Release()
		for _, c := range kept { // no fault
			_ = c
		}
		k.packets(2, 2)
		for _, receive := range []func(*Batch) error{k.conn.Receive, k.conn.TryReceive} {
			if err := receive(b); !errors.Is(err, errNoBatch) {
				k.Errorf("got %v", err)
			}
		}
		s.ids = nil
		if err := k.conn.Receive(s.batch(4)); err != nil {
			k.Fatal(err)
		}
		s.want(k, 2, 2)
	})
}

// A receive that waits when its Batch is released gets what it waits for, in memory
// that nobody else uses meanwhile.
func TestReleaseWaitsForAReceiveInProgress(t *testing.T) {
	settling(t, func(k *kernel) {
		var s seen
		var b *Batch
		b = NewBatch(4, 256, func(m Message, err error) {
			if b.memory == nil || len(b.slots[0].buf) == 0 {
				k.Error("the memory of a receive in progress is gone")
			}
			s.take(m, err)
		})
		received := testkit.Background(func() error { return k.conn.Receive(b) })
		k.parked()
		b.Release()
		k.packets(1, 1)
		if err := testkit.Next(k, received); err != nil {
			k.Error(err)
		}
		s.want(k, 1, 1)
		if err := k.conn.TryReceive(b); !errors.Is(err, errNoBatch) {
			k.Errorf("after it: %v", err)
		}
	})
}
