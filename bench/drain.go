package main

import (
	"fmt"
	"strconv"
	"time"
)

// deepBuffer is the receive buffer for a drain, in bytes: all packets must fit
// on the socket before the first one is read. The kernel doubles it.
const deepBuffer = 256 << 20

// roomFor returns how many datagrams of a size deepBuffer holds, by a generous
// estimate of what the kernel charges for one.
func roomFor(size int) int { return 2 * deepBuffer / (2*size + 4096) }

// drain fills queues and lets the program empty them, so that only the receiver
// is measured. The kernel's limit on a queue is 65,536 packets.
func drain(packets, size int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		queues := max(e.queues, 1)
		packets := min(packets, roomFor(size)) / queues * queues
		p, err := launch(h.command(e, packets)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := h.site.fill(ports(queues), packets, size); err != nil {
			return s, err
		}
		if err := p.release(); err != nil {
			return s, err
		}
		if s.Result, err = p.result(); err != nil {
			return s, err
		}
		return check(s, packets)
	}
}

// drainLog does the same with a log group.
func drainLog(packets int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		p, err := launch(h.command(e, packets)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := h.site.send([]int{logPort}, packets, 64); err != nil {
			return s, err
		}
		if err := awaitLogged(); err != nil {
			return s, err
		}
		if err := p.release(); err != nil {
			return s, err
		}
		if s.Result, err = p.result(); err != nil {
			return s, err
		}
		return check(s, packets)
	}
}

// command returns the command line of an entry.
func (h *harness) command(e entry, packets int) []string {
	return append([]string{
		h.path(e.program),
		"-queues", strconv.Itoa(max(e.queues, 1)),
		"-count", strconv.Itoa(packets),
		"-buffer", strconv.Itoa(deepBuffer),
	}, e.args...)
}

// ports returns those whose packets wait in the first queues.
func ports(queues int) []int {
	var p []int
	for i := range queues {
		p = append(p, queuePort+i)
	}
	return p
}

// awaitLogged waits until the kernel has delivered what it collected.
func awaitLogged() error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		waiting, err := kernelLog()
		if err != nil || waiting == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the kernel keeps %d logged packets back", waiting)
		}
	}
}
