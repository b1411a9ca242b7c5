package engine

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestZeroConnIsClosed(t *testing.T) {
	for kind, c := range map[string]*Conn{"zero": new(Conn), "nil": nil} {
		batch := new(seen).batch(1)
		for name, call := range map[string]func() error{
			"Receive":         func() error { return c.Receive(batch) },
			"TryReceive":      func() error { return c.TryReceive(batch) },
			"Receiver":        func() error { return c.Receiver(context.Background()).Receive(batch) },
			"Send":            func() error { return c.Send(make([]byte, 20)) },
			"Request":         func() error { return c.Request(Message{}) },
			"Buffer":          c.Buffer,
			"Claim":           c.Claim,
			"GrowBuffers":     func() error { return c.GrowBuffers(1) },
			"Links":           func() error { _, err := c.Links(); return err },
			"OpenProc":        func() error { _, err := c.OpenProc("dev"); return err },
			"SyscallConn":     func() error { _, err := c.SyscallConn(); return err },
			"SetReadDeadline": func() error { return c.SetReadDeadline(time.Now()) },
		} {
			if err := call(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		r := c.Receiver(ctx)
		cancel()
		if err := r.Receive(batch); err != context.Canceled {
			t.Errorf("%s, cancelled: %v", kind, err)
		}
		r.Close()
		if n := c.ReadBuffer() + int(c.Drops()) + int(c.PortID()) + c.Buffered(); n != 0 {
			t.Errorf("%s: numbers add up to %d", kind, n)
		}
		c.SetBusyPoll(1)
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestOtherZeroValuesAreSafe(t *testing.T) {
	var r Receiver
	if err := r.Receive(new(seen).batch(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receiver: %v", err)
	}
	r.Close()
	var l Links
	if name := l.Name(1); name != "" {
		t.Errorf("Links have %q", name)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Links: %v", err)
	}
	c, peer, err := Pipe(func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer peer.Close()
	for name, err := range map[string]error{"Receive": c.Receive(new(Batch)), "TryReceive": c.TryReceive(new(Batch)),
		"Receive, nil": c.Receive(nil), "TryReceive, nil": c.TryReceive(nil)} {
		if err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("%s with the zero Batch: %v", name, err)
		}
	}
}
