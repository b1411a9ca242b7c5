package nflog_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// configures makes k tell f of every configuration message.
func configures(k *nflogtest.Kernel, f func(nfnl.Message)) {
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == typeConfig {
			f(m)
		}
		return nil
	})
}

// TestConfigureSaysAllOfIt has the bytes: no command, all fields, and a size for
// the kernel's default one, which cannot be named.
func TestConfigureSaysAllOfIt(t *testing.T) {
	page := uint32(min(os.Getpagesize(), 8192))
	size := tlv(3, byte(page>>24), byte(page>>16), byte(page>>8), byte(page))
	for _, c := range []struct {
		name string
		cfg  nflog.Config
		want [][]byte
	}{
		{"nothing but defaults", nflog.Config{}, [][]byte{
			tlv(2, 0, 0, 0xff, 0xfb, 2, 0), tlv(4, 0, 0, 0, 1), size, tlv(5, 0, 0, 0, 100), tlv(6, 0, 1),
		}},
		{"everything", nflog.Config{
			CopyRange: 64, Threshold: 300, FlushTimeout: time.Second, BufferSize: 65536, GlobalSequence: true, Conntrack: true,
		}, [][]byte{
			tlv(2, 0, 0, 0, 64, 2, 0), tlv(4, 0, 0, 0, 100), tlv(3, 0, 1, 0, 0), tlv(5, 0, 0, 1, 0x2c), tlv(6, 0, 7),
		}},
		{"metadata", nflog.Config{MetadataOnly: true, Threshold: 1}, [][]byte{
			tlv(2, 0, 0, 0, 0, 1, 0), tlv(4, 0, 0, 0, 1), size, tlv(5, 0, 0, 0, 1), tlv(6, 0, 1),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Groups = []uint16{0x1234}
			r, k := open(t, nflog.Config{Groups: c.cfg.Groups, Conntrack: true, BufferSize: 131072})
			var sent []nfnl.Message
			configures(k, func(m nfnl.Message) {
				m.Attrs, m.Flags, m.Seq = slices.Clone(m.Attrs), 0, 0
				sent = append(sent, m)
			})
			if err := r.Configure(c.cfg); err != nil {
				t.Fatal(err)
			}
			if len(sent) != 1 {
				t.Fatalf("%d messages", len(sent))
			}
			wantMessage(t, sent[0], slices.Concat(c.want...))
			if g := r.Granted(); g.Conntrack != c.cfg.Conntrack || (g.CopyRange == 0) != c.cfg.MetadataOnly {
				t.Errorf("granted %+v", g)
			}
		})
	}
}

// TestConfigureFromAnywhere changes the copy range, which shows in what comes.
func TestConfigureFromAnywhere(t *testing.T) {
	short := nflog.Config{Groups: []uint16{5}, CopyRange: 1}
	abc := nflog.Packet{Payload: []byte("abc")}

	t.Run("with nobody reading", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(abc)
		if err := r.Configure(short); err != nil {
			t.Fatal(err)
		}
		k.Log(abc)
		if s := next(t, r, 4); s != "abca" {
			t.Errorf("got %q", s)
		}
		wantStats(t, r, 2, 0, 0)
	})
	t.Run("in the body", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		k.Log(abc)
		got := ""
		for p, err := range r.Packets(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got += string(p.Payload); len(got) > 3 {
				break
			}
			if err := r.Configure(short); err != nil {
				t.Fatal(err)
			}
			k.Log(abc)
		}
		if got != "abca" {
			t.Errorf("got %q", got)
		}
	})
	bubble(t, "beside it", func(t *testing.T) {
		r, k := open(t, nflog.Config{})
		got := testkit.Background(func() error {
			if s := next(t, r, 4); s != "abca" {
				t.Errorf("got %q", s)
			}
			return nil
		})
		synctest.Wait()
		k.Log(abc)
		if err := r.Configure(short); err != nil {
			t.Fatal(err)
		}
		k.Log(abc)
		testkit.Next(t, got)
	})
	t.Run("in OnError", func(t *testing.T) {
		var r *nflog.Reader
		r, k := open(t, nflog.Config{OnError: func(error) {
			if err := r.Configure(short); err != nil {
				t.Error(err)
			}
		}})
		k.Lose(5, 1)
		k.Log(abc)
		next(t, r, 3)
		k.Log(abc)
		if s := next(t, r, 1); s != "a" {
			t.Errorf("got %q", s)
		}
	})
}

// TestBuffersGrowBeforeTheKernelIsAsked delivers the longest datagram as soon as
// the kernel hears of the size, to a reader that waited before.
func TestBuffersGrowBeforeTheKernelIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest = 261008 // with a buffer of 128 KiB
		r, k := open(t, nflog.Config{})
		b := r.NewBatch()
		got := testkit.Background(func() error {
			for len(b.Packets) == 0 {
				if err := r.Receive(b); err != nil {
					return err
				}
			}
			return nil
		})
		synctest.Wait()
		configures(k, func(nfnl.Message) {
			k.Deliver(message(packetHeader(), tlv(12, 0, 0, 0, 0), tlv(99, make([]byte, 60000)...), tlv(99, make([]byte, 60000)...),
				tlv(99, make([]byte, 60000)...), tlv(99, make([]byte, 60000)...), tlv(9, make([]byte, longest-240076)...)).Append(nil))
		})
		if err := r.Configure(nflog.Config{Groups: []uint16{5}, BufferSize: 131072}); err != nil {
			t.Fatal(err)
		}
		if err := testkit.Next(t, got); err != nil {
			t.Fatal(err)
		}
		wantStats(t, r, 1, 0, 0)

		// What was collected in the large buffer comes after it was made small.
		if err := r.Configure(nflog.Config{Groups: []uint16{5}}); err != nil {
			t.Fatal(err)
		}
		receive(t, r, r.NewBatch())
		wantStats(t, r, 2, 0, 0)
	})
}

func TestBatchOfConfigureIsForBatchesToCome(t *testing.T) {
	r, k := open(t, nflog.Config{Batch: 1})
	for range 3 {
		k.Log(packets("a")...)
	}
	next(t, r, 1) // leaves an idle buffer of one datagram
	if err := r.Configure(nflog.Config{Groups: []uint16{5}, Batch: 2}); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, r, r.NewBatch()); s != "aa" {
		t.Errorf("got %q", s)
	}
}

func TestConfigureNumbersOn(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{OnError: o.Add})
	for i := range 4 {
		k.Log(packets("a")...)
		if err := r.Configure(nflog.Config{Groups: []uint16{5}, GlobalSequence: i%2 == 0, OnError: o.Add}); err != nil {
			t.Fatal(err)
		}
	}
	if s := next(t, r, 4); s != "aaaa" {
		t.Errorf("got %q", s)
	}
	if errs := o.Take(); errs != nil {
		t.Errorf("OnError was called with %v", errs)
	}
}

// TestConfigureBesideEverything is for the race detector.
func TestConfigureBesideEverything(t *testing.T) {
	const each = 200
	r, k := open(t, nflog.Config{Groups: []uint16{5, 6}})
	var work sync.WaitGroup
	for i := range 2 {
		work.Go(func() {
			for n := range each {
				cfg := nflog.Config{Groups: []uint16{5, 6}, Batch: 1 + n%3, GlobalSequence: i == 0, BufferSize: uint32(32768 << (n % 3))}
				if err := r.Configure(cfg); err != nil {
					t.Error(err)
				}
				r.Granted()
				r.Config()
			}
		})
	}
	work.Go(func() {
		for n := range each {
			k.Log(nflog.Packet{Group: 5 + uint16(n%2), Payload: []byte("a")})
		}
	})
	for range 4 {
		if s := next(t, r, each/4); len(s) != each/4 {
			t.Errorf("got %d packets", len(s))
		}
	}
	work.Wait()
	wantStats(t, r, each, 0, 0)
}

func ExampleReader_Configure() {
	r, err := nflog.Open(nflog.Config{
		Groups:    []uint16{5},
		CopyRange: 128,
		OnError:   func(err error) { fmt.Println(err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for p, err := range r.Packets(context.Background()) {
		if err != nil {
			return
		}
		if string(p.Prefix) != "attack " {
			continue
		}
		cfg := r.Config()
		cfg.CopyRange, cfg.Threshold = 65531, 1 // look closely from now on; OnError stays
		if err := r.Configure(cfg); err != nil {
			fmt.Println(err)
		}
	}
}
