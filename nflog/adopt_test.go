package nflog_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// handedOver returns a connection with groups 5 and 6, whose kernel does nothing
// more for it.
func handedOver(t *testing.T) (*nfnl.Conn, *nflogtest.Kernel) {
	t.Helper()
	conn, k := nflogtest.New(t)
	for _, g := range []uint16{5, 6} {
		m, err := nflog.Config{}.Bind(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Request(m); err != nil {
			t.Fatal(err)
		}
	}
	k.Refuse(func(m nfnl.Message) error { return syscall.EPERM })
	return conn, k
}

// adopt returns a Reader of such a connection.
func adopt(t *testing.T, cfg nflog.Config) (*nflog.Reader, *nflogtest.Kernel) {
	t.Helper()
	conn, k := handedOver(t)
	cfg.Groups = []uint16{5, 6}
	r, err := nflog.AdoptConn(conn, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, k
}

func TestAdoptAsksNothingOfTheKernel(t *testing.T) {
	var o testkit.Errors
	conn, k := handedOver(t)
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("OpenConn: error %v", err)
	}
	k.Refuse(func(m nfnl.Message) error {
		t.Errorf("the kernel was asked: %+v", m)
		return nil
	})
	r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5, 6}, CopyRange: 1, OnError: o.Add}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k.Lose(5, 1000)
	k.Log(packets("a")...)
	k.Log(nflog.Packet{Group: 6, Payload: []byte("bc")}) // as it was set up, not as Config says
	if s := next(t, r, 3); s != "abc" {
		t.Errorf("got %q", s)
	}
	if errs := o.Take(); errs != nil {
		t.Errorf("the first number was judged: %v", errs)
	}
	k.Lose(5, 7)
	k.Log(packets("d")...)
	next(t, r, 1)
	wantStats(t, r, 3, 7, 0)
}

// A Reader that was killed had received packets up to number 106 of group 5, and
// had recorded those up to 103.
func TestAdoptCountsFromTheLastNumber(t *testing.T) {
	for _, c := range []struct {
		name string
		last map[uint16]uint32
		lost uint64
	}{
		{"not known", nil, 0},
		{"of another group", map[uint16]uint32{6: 3}, 0},
		{"known", map[uint16]uint32{5: 103}, 3},
		{"all was recorded", map[uint16]uint32{5: 106}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o testkit.Errors
			conn, k := handedOver(t)
			k.Lose(5, 107)
			r, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5, 6}, OnError: o.Add}, c.last)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			k.Log(packets("a")...)
			next(t, r, 1)
			if n := losses(t, &o); (c.lost == 0) != (n == nil) || c.lost > 0 && n[0] != c.lost {
				t.Errorf("OnError was called for %d", n)
			}
			if s := r.GroupStats(5); s.Lost != c.lost || s.Packets != 1 {
				t.Errorf("stats of the group %+v", s)
			}
		})
	}
	conn, _ := handedOver(t)
	if _, err := nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{5}}, map[uint16]uint32{7: 1}); err == nil || !strings.Contains(err.Error(), "group 7") {
		t.Errorf("a group that is not in Config.Groups: %v", err)
	}
}

func TestShutdownLeavesAdoptedGroupsBound(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	k.Refuse(nil)
	k.Log(packets("abc")...)
	next(t, r, 1)
	b := r.NewBatch()
	tryReceive(t, r, b)
	k.Log(packets("d")...)
	down := shutdown(t, r)
	if s := receive(t, r, b); s != "d" {
		t.Errorf("got %q", s)
	}
	if err := r.Receive(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("then %v", err)
	}
	if err := testkit.Next(t, down); err != nil {
		t.Error(err)
	}
	if !k.Bound(5) || !k.Bound(6) {
		t.Error("a group was unbound")
	}
}

func TestConfigureOfAnAdoptedGroup(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	cfg := nflog.Config{Groups: []uint16{5, 6}, CopyRange: 1}
	if err := r.Configure(cfg); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v", err)
	}
	k.Log(packets("a")...)
	if s := next(t, r, 1); s != "a" {
		t.Errorf("got %q", s)
	}

	k.Refuse(nil) // the privilege is back
	if err := r.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	k.Log(nflog.Packet{Payload: []byte("bc")})
	if s := next(t, r, 1); s != "b" {
		t.Errorf("got %q", s)
	}
}

func TestAdoptTakesTheLongestDatagrams(t *testing.T) {
	r, k := adopt(t, nflog.Config{})
	k.Deliver(message(packetHeader(), tlv(12, 0, 0, 0, 0), tlv(99, make([]byte, 65000)...), tlv(99, make([]byte, 65000)...),
		tlv(99, make([]byte, 65000)...), tlv(9, make([]byte, 65000)...)).Append(nil))
	receive(t, r, r.NewBatch())
	wantStats(t, r, 1, 0, 0)
}
