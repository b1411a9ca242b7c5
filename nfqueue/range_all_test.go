package nfqueue_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// noneWait fails the test if packets wait in the kernel.
func noneWait(t testing.TB, k *nfqueuetest.Kernel) {
	t.Helper()
	if left := k.Waiting(); len(left) > 0 {
		t.Errorf("%d packets still wait, %v", len(left), left[:min(len(left), 10)])
	}
}

func TestVerdictOnAllDecidesOnHeldAndUnreadPackets(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	held(t, q, k, 600)
	for range 100 {
		k.Enqueue(packet("y"))
	}
	if err := q.SetVerdictAll(nfqueue.Accept().WithMark(1)); err != nil {
		t.Fatal(err)
	}
	noneWait(t, k)
	for id := uint32(1); id <= 700; id++ {
		wantVerdict(t, k, id, nfqueue.Accept().WithMark(1))
	}
	if s := q.Stats(); s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// What another program received from the same socket is known to the kernel
// alone. It waits there whatever its ID, also if IDs have come round to it.
func TestVerdictOnAllReachesPacketsOfAProgramBefore(t *testing.T) {
	for _, first := range []uint32{1, 1 << 30, 1<<31 - 2, 1 << 31, 3 << 30, 0xfffffffe} {
		conn, k := nfqueuetest.New(t)
		bind, err := nfqueue.Config{Queue: 7}.Bind()
		if err == nil {
			err = conn.Request(bind)
		}
		if err != nil {
			t.Fatal(err)
		}
		k.SetNextID(first)
		var ids []uint32
		for i := range 12 {
			if i%3 == 2 { // long ago
				k.SetNextID(first + uint32(i)<<29)
			}
			ids = append(ids, k.Enqueue(packet("x")))
		}
		if err := conn.Receive(nfnl.NewBatch(20, 1<<16, func(nfnl.Message, error) {})); err != nil { // the program before
			t.Fatal(err)
		}
		q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.SetVerdictAll(nfqueue.Stop()); err != nil {
			t.Fatal(err)
		}
		noneWait(t, k)
		for _, id := range ids {
			wantVerdict(t, k, id, nfqueue.Stop())
		}
		q.Close()
	}
}

func TestVerdictOnAllOfAnEmptyQueue(t *testing.T) {
	reported := new(testkit.Errors)
	q, _ := open(t, nfqueue.Config{OnError: reported.Add})
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		t.Error(err)
	}
	if err := q.TryReceive(q.NewBatch()); err != nil {
		t.Error(err)
	}
	reported.WantNoMore(t)
}

// Whoever has the right to read the socket meanwhile, nil means that nothing waits.
func TestVerdictOnAllBesideConfigure(t *testing.T) {
	for range 20 {
		q, k := open(t, nfqueue.Config{})
		for range 200 {
			k.Enqueue(packet("x"))
		}
		var stop atomic.Bool
		var others sync.WaitGroup
		others.Go(func() {
			for !stop.Load() {
				if err := q.Configure(nfqueue.Config{Queue: 7}); err != nil {
					t.Error(err)
				}
			}
		})
		if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
		noneWait(t, k)
		stop.Store(true)
		others.Wait()
		q.Close()
	}
}

func TestVerdictOnAllWhileHeldPacketsExpire(t *testing.T) {
	for range 10 {
		q, k := open(t, nfqueue.Config{})
		for range 600 {
			k.Enqueue(packet("x"))
		}
		due := time.Now().Add(15 * time.Millisecond)
		holdUntil(t, q, 600, due)
		for range 500 {
			k.Enqueue(packet("y"))
		}
		time.Sleep(time.Until(due))
		if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
			t.Error(err)
		}
		noneWait(t, k)
		q.Close()
	}
}

func TestVerdictOnAllSaysThatPacketsKeepComing(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.Enqueue(packet("x"))
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictBatchType {
			k.Enqueue(packet("x")) // the next one is there already
		}
		return nil
	})
	if err := q.SetVerdictAll(nfqueue.Drop()); err == nil || !strings.Contains(err.Error(), "keep arriving") {
		t.Errorf("got %v", err)
	}
	k.Refuse(nil)
	if err := q.SetVerdictAll(nfqueue.Drop()); err != nil {
		t.Error(err)
	}
	noneWait(t, k)
}

// What handlers have returned is sent as they returned it; what they are yet to
// return is overridden.
func TestVerdictOnAllOverridesWhatIsUnderWay(t *testing.T) {
	q, k := open(t, nfqueue.Config{FlushAfter: time.Hour})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	through := make(chan error, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 2 {
			through <- q.SetVerdictAll(nfqueue.Stop())
		}
		return nfqueue.Accept()
	})
	if err := testkit.Next(t, through); err != nil {
		t.Error(err)
	}
	wantVerdict(t, k, 1, nfqueue.Accept())
	wantVerdict(t, k, 2, nfqueue.Stop())
	wantVerdict(t, k, 3, nfqueue.Stop())
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
	if s := q.Stats(); s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestVerdictOnAllThatTheKernelRefuses(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	held(t, q, k, 3)
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictBatchType {
			return syscall.EPERM
		}
		return nil
	})
	if err := q.SetVerdictAll(nfqueue.Drop()); !errors.Is(err, syscall.EPERM) {
		t.Errorf("got %v", err)
	}
	if n := q.Stats().Held; n != 3 {
		t.Errorf("%d are held", n)
	}
	k.Refuse(nil)
	if err := q.SetVerdictAll(nfqueue.Drop()); err != nil {
		t.Error(err)
	}
	noneWait(t, k)
}

func TestVerdictOnAllMustFitAll(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	id := k.Enqueue(packet("x"))
	for _, v := range []nfqueue.Verdict{
		nfqueue.Hold(), nfqueue.Accept().WithPayload(udpPacket("y")), nfqueue.Accept().WithLinkHeader(make([]byte, 14)),
	} {
		if err := q.SetVerdictAll(v); err == nil {
			t.Errorf("%v was taken", v)
		}
	}
	if !slices.Equal(k.Waiting(), []uint32{id}) {
		t.Errorf("waiting are %v", k.Waiting())
	}
}
