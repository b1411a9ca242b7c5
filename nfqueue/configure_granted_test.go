package nfqueue_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

func TestGrantedHasTheDefaults(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	g := q.Granted()
	g.ReadBuffer = 0 // is the machine's
	if want := (nfqueue.Granted{CopyRange: 65531, MaxLen: 65536, MaxHeld: 8192, MaxHeldBytes: 32 << 20, Batch: 64}); g != want {
		t.Errorf("granted is %+v", g)
	}
}

// One field changes if the rest of the Config is what it was.
func TestOneFieldIsChangedInWhatConfigReturns(t *testing.T) {
	reported := new(testkit.Errors)
	cfg := nfqueue.Config{Fallback: fallback, OnError: reported.Add, Socket: nfnl.Config{ReadBuffer: 12345}}
	q, k := open(t, cfg)
	for _, change := range []func(*nfqueue.Config){
		func(c *nfqueue.Config) { c.MaxLen = 10000 },
		func(c *nfqueue.Config) { c.MetadataOnly = true },
	} {
		cfg := q.Config()
		change(&cfg)
		if err := q.Configure(cfg); err != nil {
			t.Fatal(err)
		}
	}
	if g := q.Granted(); g.CopyRange != 0 || g.MaxLen != 10000 || g.MaxHeld != 5000 {
		t.Errorf("granted is %+v", g)
	}
	if c := q.Config(); !c.MetadataOnly || c.MaxLen != 10000 || c.CopyRange != 0 || c.MaxHeld != 0 || c.Batch != 0 || !reflect.DeepEqual(c.Socket, cfg.Socket) {
		t.Errorf("the Config became %+v", c)
	}
	start(t, q, always(nfqueue.Accept().WithPayload(udpPacket("x")))) // refused
	wantVerdict(t, k, k.Enqueue(packet("x")), fallback)
	reported.Next(t, nfqueue.ErrTruncated)
}

// lacking makes a kernel that refuses flags: with EOPNOTSUPP, or as 7.2 says of
// a bit that it does not know.
func lacking(t testing.TB, flags uint32, text bool) *nfnl.Conn {
	t.Helper()
	var peer *engine.Peer
	conn, peer, err := engine.Pipe(func(datagram []byte) error {
		m, _, err := nfnl.Next(datagram)
		if err != nil || m.Flags&engine.FlagAck == 0 {
			return err
		}
		errno, replyFlags, says := uint32(0), uint16(0x100), []byte(nil)
		if flagsOf(m.Attrs)&flags != 0 {
			errno = uint32(0xffffffff - syscall.EOPNOTSUPP + 1)
			if text {
				errno = uint32(0xffffffff - syscall.EINVAL + 1)
				replyFlags, says = 0x300, testkit.List(tlv(1, []byte("reserved bit set\x00")))
			}
		}
		echo := m.Append(nil)[:16]
		return peer.Deliver(wire(uint32(36+len(says)), uint16(2), replyFlags, m.Seq, uint32(0), errno, echo, says))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		peer.Close()
	})
	return (*nfnl.Conn)(conn)
}

func TestBestEffortDoesWithoutWhatTheKernelLacks(t *testing.T) {
	wish := nfqueue.Config{Queue: 7, Conntrack: true, ConntrackVerdicts: true, SecurityContext: true, Owner: true, FailOpen: true, BestEffort: true}
	for name, c := range map[string]struct {
		lacks                        uint32
		conntrack, verdicts, context bool
	}{
		"nothing":            {0, true, true, true},
		"conntrack":          {flagConntrack, false, false, true},
		"security context":   {flagSecurity, true, true, false},
		"both":               {flagConntrack | flagSecurity, false, false, false},
		"what is not wished": {1 << 9, true, true, true},
	} {
		for _, text := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, text %v", name, text), func(t *testing.T) {
				check := func(g nfqueue.Granted) {
					t.Helper()
					if g.Conntrack != c.conntrack || g.ConntrackVerdicts != c.verdicts || g.SecurityContext != c.context {
						t.Errorf("granted is %+v", g)
					}
				}
				q, err := nfqueue.OpenConn(lacking(t, c.lacks, text), wish)
				if err != nil {
					t.Fatal(err)
				}
				defer q.Close()
				check(q.Granted())
				wished := q.Config()
				if !reflect.DeepEqual(wished, wish) {
					t.Errorf("the Config became %+v", wished)
				}
				if err := q.Configure(nfqueue.Config{Queue: 7}); err != nil {
					t.Fatal(err)
				}
				if err := q.Configure(wished); err != nil {
					t.Fatal(err)
				}
				check(q.Granted())

				insist := wish
				insist.BestEffort = false
				if err := q.Configure(insist); (err != nil) != (c.lacks&(flagConntrack|flagSecurity) != 0) {
					t.Errorf("without BestEffort: %v", err)
				}
				check(q.Granted())
			})
		}
	}
}

func TestBestEffortIsForWhatTheKernelMayLack(t *testing.T) {
	// A flag of the user's own is insisted on.
	_, err := nfqueue.OpenConn(lacking(t, 1<<9, true), nfqueue.Config{Queue: 7, Conntrack: true, BestEffort: true, Flags: 1 << 9})
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "reserved bit set") || !strings.Contains(err.Error(), "Flags") {
		t.Errorf("got %v", err)
	}
	// And so is everything else.
	for errno, want := range map[syscall.Errno]error{syscall.EPERM: nfqueue.ErrTaken, syscall.ENOMEM: syscall.ENOMEM, syscall.EINVAL: syscall.EINVAL} {
		conn, k := nfqueuetest.New(t)
		r := record(k)
		asked := 0
		k.Refuse(func(m nfnl.Message) error {
			if m.Type == configType {
				asked++
				return errno
			}
			return nil
		})
		_, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, Conntrack: true, SecurityContext: true, BestEffort: true})
		if !errors.Is(err, want) || asked != 1 {
			t.Errorf("%v: got %v after %d requests", errno, err, asked)
		}
		r.take()
	}
}

func TestConntrackVerdictsAreTriedWithoutTheirCost(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	r := record(k)
	cfg := nfqueue.Config{Queue: 7, ConntrackVerdicts: true}
	q, err := nfqueue.OpenConn(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	wantFlags := func(want ...uint32) {
		t.Helper()
		var got []uint32
		for _, m := range r.take() {
			got = append(got, flagsOf(m))
		}
		if !slices.Equal(got, want) {
			t.Errorf("sent flags %#x, want %#x", got, want)
		}
	}
	wantFlags(flagGSO|flagConntrack, flagGSO)
	if err := q.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	wantFlags(flagGSO|flagConntrack, flagGSO)
	cfg.Conntrack = true
	if err := q.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	wantFlags(flagGSO | flagConntrack)

	_, err = nfqueue.OpenConn(lacking(t, flagConntrack, false), nfqueue.Config{Queue: 7, ConntrackVerdicts: true})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "ConntrackVerdicts") {
		t.Errorf("a kernel without: got %v", err)
	}
}
