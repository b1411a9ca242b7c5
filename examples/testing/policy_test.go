package policy

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	telnet = netip.MustParseAddrPort("192.0.2.2:23")
	web    = netip.MustParseAddrPort("192.0.2.2:443")
	dns    = netip.MustParseAddrPort("[2001:db8::2]:53")
)

func TestTelnetIsDropped(t *testing.T) {
	p := &nfqueue.Packet{Payload: nfnltest.TCP(client, telnet, nfnltest.SYN, nil)}
	if v := Decide(p, nil); !v.Equal(nfqueue.Drop()) {
		t.Errorf("the verdict is %v", v)
	}
}

func TestAnswerDecides(t *testing.T) {
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
	yes := func(held nfqueue.Ticket) { go held.SetVerdict(nfqueue.Accept()) }
	go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict { return Decide(p, yes) })

	id := k.Enqueue(nfqueue.Packet{Payload: nfnltest.TCP(client, web, nfnltest.SYN, nil)})
	if v := k.Verdict(id); !v.Equal(nfqueue.Accept()) {
		t.Errorf("the verdict is %v", v)
	}
}

func TestNoAnswerDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
		never := func(nfqueue.Ticket) {}
		go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict { return Decide(p, never) })

		id := k.Enqueue(nfqueue.Packet{Payload: nfnltest.TCP(client, web, nfnltest.SYN, nil)})
		start := time.Now()
		if v := k.Verdict(id); !v.Equal(nfqueue.Drop()) {
			t.Errorf("the verdict is %v", v)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("it came after %v", waited)
		}
	})
}

func TestLossIsReported(t *testing.T) {
	reported := make(chan error, 10)
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, OnError: func(err error) { reported <- err }})
	go q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })

	udp := nfqueue.Packet{Payload: nfnltest.UDP(netip.MustParseAddrPort("[2001:db8::1]:5000"), dns, nil)}
	k.Verdict(k.Enqueue(udp))
	k.Lose(5)
	k.Verdict(k.Enqueue(udp)) // loss shows when the next packet comes
	var lost *nfnl.OverrunError
	if err := <-reported; !errors.As(err, &lost) || lost.Lost != 5 || q.Stats().Lost != 5 {
		t.Errorf("reported: %v; stats: %+v", err, q.Stats())
	}
}

func TestRefusedVerdictFallsBack(t *testing.T) {
	reported := make(chan error, 10)
	q, k := nfqueuetest.Open(t, nfqueue.Config{
		Queue: 7, Fallback: nfqueue.Accept(), OnError: func(err error) { reported <- err },
	})
	refused := false
	k.Refuse(func(m nfnl.Message) error { // of this kernel, the first verdict
		if refused {
			return nil
		}
		refused = true
		return syscall.EINVAL
	})
	go q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop().WithMark(1) })

	id := k.Enqueue(nfqueue.Packet{Payload: nfnltest.TCP(client, web, nfnltest.SYN, nil)})
	if v := k.Verdict(id); !v.Equal(nfqueue.Accept()) {
		t.Errorf("the verdict is %v", v)
	}
	if err := <-reported; !errors.Is(err, syscall.EINVAL) {
		t.Errorf("reported: %v", err)
	}
}

func TestSlowKernelFillsTheQueue(t *testing.T) {
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, MaxLen: 2})
	slow := make(chan struct{})
	k.Refuse(func(nfnl.Message) error { // nothing, but it takes its time
		<-slow
		return nil
	})
	go q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })

	syn := nfqueue.Packet{Payload: nfnltest.TCP(client, web, nfnltest.SYN, nil)}
	first, second := k.Enqueue(syn), k.Enqueue(syn)
	if id := k.Enqueue(syn); id != 0 {
		t.Errorf("the full queue has a third packet, number %d", id)
	}
	close(slow)
	k.Verdict(first)
	k.Verdict(second)
	if id := k.Enqueue(syn); id == 0 {
		t.Error("there is no room after the verdicts")
	}
}

func TestCaptureIsReplayed(t *testing.T) {
	packets := nfqueuetest.ReadCapture(t, "testdata/session.pcap")
	dropped := 0
	for i := range packets {
		if v := Decide(&packets[i], nil); v.Equal(nfqueue.Drop()) {
			dropped++
		}
	}
	if len(packets) != 4 || dropped != 1 {
		t.Errorf("%d of %d packets are dropped", dropped, len(packets))
	}
}

func TestRecordsAreRead(t *testing.T) {
	r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
	k.Log(nflog.Packet{Prefix: []byte("in "), Payload: nfnltest.TCP(client, telnet, nfnltest.SYN, nil)})
	for p, err := range r.Packets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if line := p.String(); !strings.Contains(line, `"in "`) || !strings.Contains(line, "> 192.0.2.2:23") {
			t.Error(line)
		}
		break
	}
}

// Every code block of the page is code of this folder, and so compiled and run.
func TestPageHasThisCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, name := range []string{"policy.go", "policy_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, text...)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	for _, b := range blocks {
		block, _, ok := strings.Cut(b, "```\n")
		if !ok || !bytes.Contains(code, []byte(block)) {
			t.Errorf("no code of this folder:\n%s", block)
		}
	}
	if len(blocks) < 7 {
		t.Errorf("only %d blocks were found", len(blocks))
	}
}
