package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// flood sends small packets from all processors for a while, to a program with
// the buffer of an ordinary one: how many does it decide on, how many are lost?
func flood(h *harness, e entry) (s sample, err error) {
	p, err := launch(append([]string{h.path(e.program), "-maxlen", "16384"}, e.args...)...)
	if err != nil {
		return s, err
	}
	defer p.end()
	if err := p.release(); err != nil {
		return s, err
	}
	began := time.Now()
	if s.Sent, err = h.pelt(began.Add(h.scale.flood)); err != nil {
		return s, err
	}
	if err := awaitEmpty(5 * time.Second); err != nil {
		return s, err
	}
	took := time.Since(began)
	p.stop()
	s.Result, err = p.result()
	s.WallNS = took.Nanoseconds() // of the flood, not of the program's life
	return s, err
}

// pelt sends from every processor until end, and returns how many packets.
func (h *harness) pelt(end time.Time) (int64, error) {
	var sent atomic.Int64
	var senders errgroup.Group
	for range runtime.NumCPU() {
		senders.Go(func() error {
			c, err := h.site.net.Dial("udp4", address(queuePort))
			if err != nil {
				return err
			}
			defer c.Close()
			for datagram := make([]byte, 64); time.Now().Before(end); sent.Add(1) {
				if _, err := c.Write(datagram); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := senders.Wait()
	return sent.Load(), err
}
