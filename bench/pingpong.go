package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
)

// pingpong measures round trips of a datagram that waits for a verdict on one
// of its two ways, or on none if the entry has no program. Its ends are where the
// scheduler puts them, or "apart" on a processor each.
func pingpong(where ...string) func(h *harness, e entry) (sample, error) {
	return func(h *harness, e entry) (sample, error) { return h.pingpong(e, where) }
}

func (h *harness) pingpong(e entry, where []string) (s sample, err error) {
	if e.program == "" {
		return h.ping(barePort, h.scale.trips, where...)
	}
	p, err := launch(append([]string{h.path(e.program)}, e.args...)...)
	if err != nil {
		return s, err
	}
	defer p.end()
	if err := p.release(); err != nil {
		return s, err
	}
	return h.ping(pingPort, h.scale.trips, where...)
}

// ping sends datagrams to a port and back.
func (h *harness) ping(port, trips int, where ...string) (s sample, err error) {
	if !h.has("pingpong") {
		return s, fmt.Errorf("%w: the program pingpong was not built", errUnsupported)
	}
	out, err := exec.Command(h.path("pingpong"), append([]string{strconv.Itoa(port), strconv.Itoa(trips)}, where...)...).Output()
	if err != nil {
		return s, fmt.Errorf("pingpong: %w", said(err))
	}
	return s, json.Unmarshal(out, &s.Result)
}
