package main

import (
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

// A contest is work that several programs do in turn.
type contest struct {
	name    string
	run     func(*harness, entry) (sample, error)
	entries []entry
}

// An entry is a program in a contest.
type entry struct {
	name    string // in tables
	program string // one of the workshop, "" for none
	args    []string
	queues  int  // for it to read, 0 means 1
	once    bool // it decides once a connection
}

// A sample is what one run of an entry gave.
type sample struct {
	subject.Result
	Sent     int64 `json:"sent,omitempty"`     // packets, in a flood
	Bytes    int64 `json:"bytes,omitempty"`    // that a TCP connection carried
	Requests int64 `json:"requests,omitempty"` // that were answered
}

// A round has one sample of each entry that could be run, by its name.
type round map[string]sample

// A harness runs contests.
type harness struct {
	*workshop
	site     *site
	scale    scale
	profiles string // directory for them, or ""
	log      func(format string, args ...any)
}

// An outcome is what a contest gave.
type outcome struct {
	Contest string            `json:"contest"`
	Entries []string          `json:"entries"` // in the order they took turns
	Rounds  []round           `json:"rounds"`
	Absent  map[string]string `json:"absent,omitempty"` // why an entry did not take part
	failed  bool              // for another reason than that something is missing
}

// hold runs a contest. The entries take turns, so that what else goes on in the
// machine meets all of them.
func (h *harness) hold(c contest) outcome {
	o := outcome{Contest: c.name, Absent: map[string]string{}}
	for _, e := range c.entries {
		o.Entries = append(o.Entries, e.name)
		if e.program != "" && !h.has(e.program) {
			o.Absent[e.name] = "not built"
		}
	}
	for n := range h.scale.rounds {
		h.log("%s: round %d of %d", c.name, n+1, h.scale.rounds)
		r := round{}
		for _, e := range c.entries {
			if o.Absent[e.name] != "" {
				continue
			}
			s, err := c.run(h, h.profiled(e, c.name, n))
			if err != nil {
				o.fail(e, err)
				log.Printf("%s, %s: %v", c.name, e.name, err)
				continue
			}
			r[e.name] = s
		}
		o.Rounds = append(o.Rounds, r)
	}
	return o
}

// profiled has our own programs write a profile for each round; pprof adds them
// up.
func (h *harness) profiled(e entry, contest string, n int) entry {
	if h.profiles != "" && (e.program == "queue" || e.program == "log") {
		file := fmt.Sprintf("%s-%s-%d.pprof", contest, e.name, n)
		file = strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(file)
		e.args = append(slices.Clone(e.args), "-cpuprofile", filepath.Join(h.profiles, file))
	}
	return e
}

// fail takes an entry out of the contest.
func (o *outcome) fail(e entry, err error) {
	o.Absent[e.name] = err.Error()
	o.failed = o.failed || !errors.Is(err, errUnsupported)
}

// has reports whether all the entries have samples.
func (o *outcome) has(entries ...string) bool {
	for _, e := range entries {
		if o.Absent[e] != "" || !slices.Contains(o.Entries, e) {
			return false
		}
	}
	return len(o.Rounds) > 0
}

// values returns f of every round.
func (o *outcome) values(f func(round) float64) []float64 {
	var v []float64
	for _, r := range o.Rounds {
		v = append(v, f(r))
	}
	return v
}

// check makes sure that the program did what it was asked to.
func check(s sample, packets int) (sample, error) {
	if s.Packets < int64(packets) || s.WallNS <= 0 {
		return s, fmt.Errorf("%d packets in %d ns, not %d", s.Packets, s.WallNS, packets)
	}
	return s, nil
}
