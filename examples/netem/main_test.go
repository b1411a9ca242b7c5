//go:build linux

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestPacketsComeNoSoonerThanTheDelay(t *testing.T) {
	const delay = 150 * time.Millisecond
	n := exampletest.Net(t)
	exampletest.Start(t, n, "-delay", delay.String())
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	sent := time.Now()
	exampletest.Send(t, from, "0", "1", "2")
	if got := exampletest.Receive(t, to, 3); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("received %q", got)
	}
	if took := time.Since(sent); took < delay {
		t.Errorf("they came after %v", took)
	}
}

func TestJitterReordersAndLosesNothing(t *testing.T) {
	n := exampletest.Net(t)
	exampletest.Start(t, n, "-delay", "0s", "-jitter", "50ms")
	to, from := exampletest.UDP(t, n, "[::1]:9999")
	want := exampletest.Numbers(100)
	exampletest.Send(t, from, want...)
	got := exampletest.Receive(t, to, len(want))
	if slices.Equal(got, want) {
		t.Error("100 packets came in order")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("received %q", got)
	}
}

func TestLostPacketsDoNotCome(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-delay", "0s", "-loss", "1")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	exampletest.ReceiveNothing(t, to)
	if met, err := p.Rules[0].Packets(); err != nil || met != 1 {
		t.Errorf("%d packets were queued, %v", met, err)
	}
}

func TestHeldPacketsGoOnTheirWayWhenTheProgramEnds(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-delay", "300ms")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "first")
	exampletest.Receive(t, to, 1) // so it is at work
	exampletest.Send(t, from, "second")
	p.Stop()
	if got := exampletest.Receive(t, to, 1); !slices.Equal(got, []string{"second"}) {
		t.Errorf("received %q", got)
	}
}
