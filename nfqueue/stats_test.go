package nfqueue_test

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Each verdict that reaches the kernel is in one count, whoever gave it.
func TestStatsCountVerdictsByAction(t *testing.T) {
	for _, ranges := range []bool{false, true} {
		t.Run(fmt.Sprintf("ranges %t", ranges), func(t *testing.T) {
			reported := new(testkit.Errors)
			q, k := open(t, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: reported.Add, RangeVerdicts: ranges})
			held := make(chan nfqueue.Ticket, 1)
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				switch data(p.Payload) {
				case "drop":
					return nfqueue.Drop()
				case "stop":
					return nfqueue.Stop()
				case "repeat":
					return nfqueue.Repeat().WithMark(1)
				case "requeue":
					return nfqueue.Requeue(9)
				case "hold":
					held <- p.Ticket()
					return nfqueue.Hold()
				case "refused":
					return nfqueue.Drop().WithRawPayload(nil)
				}
				return nfqueue.Accept()
			})
			bytes := 0
			enqueue := func(kinds ...string) (ids []uint32) {
				for _, kind := range kinds {
					p := packet(kind)
					bytes += len(p.Payload)
					ids = append(ids, k.Enqueue(p))
				}
				return ids
			}
			for _, id := range enqueue("accept", "accept", "drop", "drop", "drop", "stop", "repeat", "requeue", "refused") {
				k.Verdict(id)
			}
			enqueue("hold")
			if err := testkit.Next(t, held).SetVerdict(nfqueue.Drop()); err != nil { // the 4th
				t.Error(err)
			}
			enqueue("hold")
			testkit.Next(t, held)
			if err := q.SetVerdictAll(nfqueue.Stop()); err != nil { // the 2nd
				t.Error(err)
			}
			upTo := enqueue("hold")[0]
			testkit.Next(t, held)
			if err := q.SetVerdictUpTo(upTo, nfqueue.Accept()); err != nil { // the 4th, with the fallback
				t.Error(err)
			}
			s := q.Stats()
			got := [...]uint64{s.Packets, s.Bytes, s.Accepted, s.Dropped, s.Stopped, s.Repeated, s.Requeued}
			if want := [...]uint64{12, uint64(bytes), 4, 4, 2, 1, 1}; got != want {
				t.Errorf("packets, bytes, accepted, dropped, stopped, repeated, requeued: %d, want %d", got, want)
			}
		})
	}
}

// A verdict that could not be sent is not counted, and its fallback is.
func TestStatsCountOnlyVerdictsThatWereSent(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: nfqueue.Stop()})
	b := q.NewBatch()
	k.FailSend(func(datagram []byte) error {
		if strings.Contains(string(datagram), "too long") {
			return syscall.EMSGSIZE
		}
		return nil
	})
	k.Enqueue(packet("x"))
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	b.Verdicts[0] = nfqueue.Accept().WithPayload(udpPacket("too long"))
	if err := q.Send(b); err != nil {
		t.Error(err)
	}
	if s := q.Stats(); s.Accepted != 0 || s.Stopped != 1 {
		t.Errorf("a verdict that is too long: %+v", s)
	}
	k.FailSend(func([]byte) error { return syscall.ENOBUFS })
	k.Enqueue(packet("y"))
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	if err := q.Send(b); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("Send: %v", err)
	}
	if s := q.Stats(); s.Dropped != 0 || s.Stopped != 1 {
		t.Errorf("a send that failed: %+v", s)
	}
}

// numbered returns Stats whose fields are 1, 2 and so on.
func numbered() (s nfqueue.Stats) {
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		v.Field(i).Set(reflect.ValueOf(i + 1).Convert(v.Field(i).Type()))
	}
	return s
}

func TestStatsOfSeveralQueuesAreSums(t *testing.T) {
	sum := reflect.ValueOf(nfqueue.AddStats(numbered(), numbered()))
	for i := range sum.NumField() {
		if got := fmt.Sprint(sum.Field(i)); got != fmt.Sprint(2*(i+1)) {
			t.Errorf("the sum of two %d in %s is %s", i+1, sum.Type().Field(i).Name, got)
		}
	}
}

// A log record has all counts, each under the field's name in lower case.
func TestStatsAreSlogValues(t *testing.T) {
	s := numbered()
	var text strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "stats", s)
	line := strings.ToLower(strings.NewReplacer("_", "", "\n", " ").Replace(text.String()))
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if want := fmt.Sprintf(" stats.%s=%d", strings.ToLower(name), i+1); !strings.Contains(line, want+" ") {
			t.Errorf("%s is not in %s", want, text.String())
		}
	}
}
