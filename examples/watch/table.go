package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
)

// idle is after how long a flow without packets is forgotten.
const idle = 30 * time.Second

// A table has the flows that were seen lately. Its methods may be called by
// several goroutines.
type table struct {
	mu     sync.Mutex
	flows  map[key]*row
	ticked time.Time
}

// A key says which flow a packet is of.
type key struct {
	src, dst netip.AddrPort
	protocol uint8
}

// A row is what is known of a flow.
type row struct {
	name             string
	packets, bytes   uint64
	accepted, drops  uint64
	packetRate, rate float64 // packets and bytes a second, in the last round
	seen             time.Time

	lastPackets, lastBytes uint64 // at the end of the last round
}

func newTable(now time.Time) *table {
	return &table{flows: map[key]*row{}, ticked: now}
}

// add counts a packet of so many bytes.
func (t *table) add(f nfnl.Flow, bytes int, dropped bool, now time.Time) {
	k := key{f.Src, f.Dst, f.Protocol}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.flows[k]
	if r == nil {
		r = &row{name: f.String()}
		t.flows[k] = r
	}
	r.packets++
	r.bytes += uint64(bytes)
	r.seen = now
	if dropped {
		r.drops++
	} else {
		r.accepted++
	}
}

// tick ends a round: it computes the rates and forgets idle flows.
func (t *table) tick(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := now.Sub(t.ticked).Seconds()
	if seconds <= 0 {
		return
	}
	t.ticked = now
	for k, r := range t.flows {
		r.packetRate = float64(r.packets-r.lastPackets) / seconds
		r.rate = float64(r.bytes-r.lastBytes) / seconds
		r.lastPackets, r.lastBytes = r.packets, r.bytes
		if now.Sub(r.seen) > idle {
			delete(t.flows, k)
		}
	}
}

// rows returns copies of all rows.
func (t *table) rows() (all []row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.flows {
		all = append(all, *r)
	}
	return all
}

// A column is something to sort by.
type column struct {
	title   string
	width   int
	compare func(a, b row) int // the row that comes first is less
	text    func(r row) string
}

// columns are those behind the flow, from left to right.
var columns = []column{
	{"packets/s", 11, more(func(r row) float64 { return r.packetRate }), func(r row) string { return fmt.Sprintf("%.1f", r.packetRate) }},
	{"bytes/s", 10, more(func(r row) float64 { return r.rate }), func(r row) string { return short(r.rate) }},
	{"packets", 9, more(func(r row) float64 { return float64(r.packets) }), func(r row) string { return fmt.Sprint(r.packets) }},
	{"accepted", 9, more(func(r row) float64 { return float64(r.accepted) }), func(r row) string { return fmt.Sprint(r.accepted) }},
	{"dropped", 9, more(func(r row) float64 { return float64(r.drops) }), func(r row) string { return fmt.Sprint(r.drops) }},
}

// more puts the larger value first.
func more(value func(row) float64) func(a, b row) int {
	return func(a, b row) int {
		switch x, y := value(a), value(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	}
}

// short returns a number in three digits or so: 999, 1.0k, 999k, 1.0M.
func short(n float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		switch {
		case n < 9.95 && unit != "":
			return fmt.Sprintf("%.1f%s", n, unit)
		case n < 999.5:
			return fmt.Sprintf("%.0f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0fT", n)
}

// choose returns the rows that a view shows, in its order.
func (v view) choose(all []row) []row {
	shown := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return !strings.Contains(r.name, v.filter) })
	slices.SortFunc(shown, func(a, b row) int {
		c := columns[v.sort].compare(a, b)
		if c == 0 {
			c = strings.Compare(a.name, b.name)
		}
		if v.reverse {
			return -c
		}
		return c
	})
	return shown
}
