package nflog_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

func TestReceiveWaitsAndTakesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{Batch: 2})
		b := r.NewBatch()
		received := testkit.Background(func() error { return r.Receive(b) })
		synctest.Wait()
		k.Log(packets("abc")...)
		if err := testkit.Next(t, received); err != nil || letters(b.Packets) != "abc" {
			t.Errorf("got %q, %v", letters(b.Packets), err)
		}
		for _, s := range []string{"d", "ef", "g"} {
			k.Log(packets(s)...)
		}
		if s := receive(t, r, b); s != "def" {
			t.Errorf("got %q, want two datagrams", s)
		}
		if s := receive(t, r, b); s != "g" {
			t.Errorf("got %q", s)
		}
		wantStats(t, r, 7, 0, 0)
	})
}

func TestTryReceiveDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		b := r.NewBatch()
		if s := tryReceive(t, r, b); s != "" {
			t.Errorf("got %q of nothing", s)
		}
		k.Log(packets("ab")...)
		if s := tryReceive(t, r, b); s != "ab" {
			t.Errorf("got %q", s)
		}
		if s := tryReceive(t, r, b); s != "" {
			t.Errorf("got %q again", s)
		}
		received := testkit.Background(func() error { return r.Receive(r.NewBatch()) })
		synctest.Wait()
		if s := tryReceive(t, r, b); s != "" {
			t.Errorf("got %q behind another", s)
		}
		k.Log(packets("c")...)
		if err := testkit.Next(t, received); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadline(t *testing.T) {
	r, k := open(t, nflog.Config{})
	b := r.NewBatch()
	end := time.Now().Add(20 * time.Millisecond)
	r.SetReadDeadline(end)
	err := testkit.Next(t, testkit.Background(func() error { return r.Receive(b) }))
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(end) {
		t.Errorf("%v, %v before the deadline", err, time.Until(end))
	}
	k.Log(packets("a")...)
	if err := r.Receive(b); !errors.Is(err, os.ErrDeadlineExceeded) || len(b.Packets) != 0 {
		t.Errorf("after the deadline: %q, %v", letters(b.Packets), err)
	}
	if s := tryReceive(t, r, b); s != "a" {
		t.Errorf("TryReceive, which has no deadline: %q", s)
	}
	r.SetReadDeadline(time.Time{})
	k.Log(packets("b")...)
	if s := receive(t, r, b); s != "b" {
		t.Errorf("got %q", s)
	}
}

func TestCloseEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		var ends []<-chan error
		for range 3 {
			ends = append(ends, testkit.Background(func() error { return r.Receive(r.NewBatch()) }))
		}
		synctest.Wait()
		r.Close()
		for _, ended := range ends {
			if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		b := r.NewBatch()
		for range 2 {
			if err := r.Receive(b); !errors.Is(err, net.ErrClosed) {
				t.Error("Receive:", err)
			}
			if err := r.TryReceive(b); !errors.Is(err, net.ErrClosed) {
				t.Error("TryReceive:", err)
			}
			if err := r.SetReadDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
				t.Error("SetReadDeadline:", err)
			}
			if err := r.Close(); err != nil {
				t.Error("Close:", err)
			}
		}
		k.Log(packets("a")...) // must not matter
		r.Stats()
	})
}

func TestCloseDropsWhatALoopHasLeft(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("abc")...)
	next(t, r, 1)
	r.Close()
	b := r.NewBatch()
	if err := r.Receive(b); !errors.Is(err, net.ErrClosed) || len(b.Packets) != 0 {
		t.Errorf("got %q, %v", letters(b.Packets), err)
	}
}

func TestOnErrorMayUseTheReader(t *testing.T) {
	var r *nflog.Reader
	var inner string
	r, k := open(t, nflog.Config{Batch: 1, OnError: func(error) {
		b := r.NewBatch()
		inner += tryReceive(t, r, b)
		inner += next(t, r, 1)
		inner += receive(t, r, b)
		r.Stats()
		r.Close()
	}})
	k.Lose(5, 1)
	for _, s := range []string{"a", "b", "cd"} {
		k.Log(packets(s)...)
	}
	b := r.NewBatch()
	err := testkit.Next(t, testkit.Background(func() error { return r.Receive(b) }))
	if err != nil || letters(b.Packets) != "a" {
		t.Errorf("got %q, %v", letters(b.Packets), err)
	}
	if inner != "bcd" {
		t.Errorf("OnError got %q", inner)
	}
}

func TestPanicInOnErrorLosesNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		receive func(r *nflog.Reader, b *nflog.Batch)
	}{
		{"Packets", func(r *nflog.Reader, b *nflog.Batch) {
			for range r.Packets(t.Context()) {
				t.Error("OnError did not come first")
			}
		}},
		{"Receive", func(r *nflog.Reader, b *nflog.Batch) { r.Receive(b) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, k := open(t, nflog.Config{OnError: func(error) { panic("in OnError") }})
			k.Lose(5, 1)
			k.Log(packets("abc")...)
			b := r.NewBatch()
			func() {
				defer func() {
					if recover() != "in OnError" {
						t.Error("the panic was not passed on")
					}
				}()
				c.receive(r, b)
			}()
			s := letters(b.Packets)
			if s == "" {
				s = tryReceive(t, r, b)
			}
			if s != "abc" {
				t.Errorf("got %q", s)
			}
		})
	}
}

func TestTimeIsTheKernelsOrThatOfReceipt(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	kernels := time.Unix(1234567890, 123456000)
	k.Log(
		nflog.Packet{Time: kernels, Payload: []byte("a")},
		nflog.Packet{Payload: []byte("b")},
		nflog.Packet{Time: kernels, ReceiptTime: true, Payload: []byte("c")},
	)
	k.Log(packets("d")...)
	b := r.NewBatch()
	before := time.Now().Round(0)
	receive(t, r, b)
	after := time.Now().Round(0)
	if p := b.Packets[0]; !p.Time.Equal(kernels) || p.ReceiptTime {
		t.Errorf("the kernel's: %v, of receipt %v", p.Time, p.ReceiptTime)
	}
	for _, p := range b.Packets[1:] {
		if p.Time.Before(before) || p.Time.After(after) || !p.ReceiptTime {
			t.Errorf("received between %v and %v: %v, of receipt %v", before, after, p.Time, p.ReceiptTime)
		}
	}
	if b.Packets[1].Time != b.Packets[2].Time {
		t.Error("two packets of one receive have two times of receipt")
	}
	receive(t, r, b)
	if p := b.Packets[0]; p.Time.Before(after) {
		t.Errorf("received after %v, but has time %v", after, p.Time)
	}
}

func TestCopyRangeReachesTheKernel(t *testing.T) {
	for _, c := range []struct {
		cfg  nflog.Config
		want string
	}{
		{nflog.Config{}, "abc"},
		{nflog.Config{CopyRange: 2}, "ab"},
		{nflog.Config{MetadataOnly: true}, ""},
	} {
		r, k := open(t, c.cfg)
		k.Log(nflog.Packet{Payload: []byte("abc")})
		if s := receive(t, r, r.NewBatch()); s != c.want {
			t.Errorf("got %q, want %q", s, c.want)
		}
	}
}

func TestSliceKeptTooLongIsGarbageInRaceBuilds(t *testing.T) {
	if !raceEnabled {
		t.Skip("only in builds with -race")
	}
	r, k := open(t, nflog.Config{})
	k.Log(packets("a")...)
	b := r.NewBatch()
	receive(t, r, b)
	kept, clone := b.Packets[0].Payload, b.Packets[0].Clone()
	tryReceive(t, r, b)
	if kept[0] == 'a' {
		t.Error("the memory was not overwritten")
	}
	if string(clone.Payload) != "a" {
		t.Errorf("the clone has become %q", clone.Payload)
	}
}

func TestBatchUsedTwiceAtOnceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		b := r.NewBatch()
		received := testkit.Background(func() error { return r.Receive(b) })
		synctest.Wait()
		for name, err := range map[string]error{"Receive": r.Receive(b), "TryReceive": r.TryReceive(b)} {
			if err == nil || !strings.Contains(err.Error(), "another goroutine") {
				t.Errorf("%s: %v", name, err)
			}
		}
		k.Log(packets("x")...)
		if err := testkit.Next(t, received); err != nil || letters(b.Packets) != "x" {
			t.Errorf("got %q, %v", letters(b.Packets), err)
		}
	})
}
