package main

import (
	"slices"
	"strings"
	"time"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

// A scale is how much is measured.
type scale struct {
	rounds  int
	packets int // in a drain
	traced  int // in a drain under strace
	trips   int // in a ping-pong
	joins   int // connections to one program
	flood   time.Duration
	stream  time.Duration
}

var (
	fullScale  = scale{rounds: 7, packets: 60000, traced: 6400, trips: 20000, joins: 10000, flood: 2 * time.Second, stream: 2 * time.Second}
	shortScale = scale{rounds: 2, packets: 6400, traced: 1280, trips: 1000, joins: 200, flood: 200 * time.Millisecond, stream: 200 * time.Millisecond}
)

// Names of entries.
const (
	ours     = "nfpacket"
	busy     = "nfpacket, BusyPoll 50 µs"
	ranges   = "nfpacket, RangeVerdicts"
	floor    = "C, least possible"
	single   = "C, a verdict each"
	library  = "libnetfilter_queue"
	logs     = "libnetfilter_log"
	loop     = "netlink.Conn loop"
	other    = "go-nfqueue"
	otherLog = "go-nflog"
	bare     = "no queue"
	oneQueue = ", 1 queue"
	twoQueue = ", 2 queues"
	once     = ", once a connection"
	oneProc  = ", GOMAXPROCS 1"
)

// Names of contests.
const (
	accept64   = "accept, 64 B"
	accept1400 = "accept, 1400 B"
	marks      = "marks, 64 B"
	rewrite    = "rewrite, 1400 B"
	rewriteRaw = "raw rewrite, 1400 B"
	log1       = "log, threshold 1"
	log64      = "log, threshold 64"
	roundTrip  = "round trip"
	tripApart  = "round trip, ends apart"
	twoQueues  = "two queues"
	flooded    = "flood"
	tcp        = "TCP stream"
	calls      = "system calls"
	callsOne   = "system calls, packets one at a time"
	routed     = "router, TCP stream"
	routed128  = "router, TCP stream, 128 B copied"
	webKept    = "router, HTTP, connections kept"
	webOnce    = "router, HTTP, a connection a request"
	joined     = "connections within one program"
)

// contests returns all contests but those that show growth.
func contests(s scale) []contest {
	accept := []entry{
		{name: floor, program: "floor"},
		{name: library, program: "libqueue"},
		{name: loop, program: "conn"},
		{name: other, program: "gonfqueue"},
		{name: ours, program: "queue"},
	}
	drained := append(slices.Clone(accept),
		entry{name: single, program: "verdicts", args: []string{"-work", subject.Accept}},
		entry{name: ranges, program: "queue", args: []string{"-ranges"}},
	)
	trips := []entry{
		{name: bare},
		{name: library, program: "libqueue"},
		{name: ours, program: "queue"},
		{name: busy, program: "queue", args: []string{"-busypoll", "50us"}},
	}
	return []contest{
		{accept64, drain(s.packets, 64), drained},
		{accept1400, drain(s.packets, 1400), drained},
		{marks, drain(s.packets, 64), doing(subject.Mark)},
		{rewrite, drain(s.packets, 1400), doing(subject.Finish)},
		{rewriteRaw, drain(s.packets, 1400), doing(subject.Raw)},
		{log1, drainLog(s.packets), logging("1", "0")},
		{log64, drainLog(s.packets), logging("64", "32768")},
		{roundTrip, pingpong(), trips},
		{tripApart, pingpong("apart"), trips},
		{twoQueues, drain(s.packets, 64), []entry{
			{name: ours + oneQueue, program: "queue", queues: 1},
			{name: ours + twoQueue, program: "queue", queues: 2},
			{name: floor + oneQueue, program: "floor", queues: 1},
			{name: floor + twoQueue, program: "floor", queues: 2},
		}},
		{flooded, flood, accept},
		{tcp, stream, append([]entry{{name: bare}}, accept...)},
		{calls, countCalls(s.traced), accept},
		{callsOne, countCallsOneAtATime(s.traced), accept[1:]},
		{routed, routeStream, append(live(), entry{name: ours + once, program: "queue", args: []string{"-work", subject.Pass}, once: true})},
		{routed128, routeStream, live("-copyrange", "128")},
		{webKept, routeHTTP(), live()},
		{webOnce, routeHTTP("-close"), live()},
		{joined, connect(s.joins), []entry{
			{name: other, program: "connects", args: []string{"-library", "go-nfqueue"}},
			{name: ours, program: "connects"},
			{name: ours + oneProc, program: "connects", args: []string{"-procs", "1"}},
		}},
	}
}

// variants returns our entry for queues again, with other flags.
func (c *contest) variants(flags []string) (entries []entry) {
	i := slices.IndexFunc(c.entries, func(e entry) bool { return e.name == ours && e.program == "queue" })
	if i < 0 {
		return nil
	}
	for _, f := range flags {
		e := c.entries[i]
		e.name, e.args = ours+" "+f, append(strings.Fields(f), e.args...)
		entries = append(entries, e)
	}
	return entries
}

// live returns the entries of a contest in which packets come as they do in
// life, and whose rate does not depend on the programs alone.
func live(args ...string) []entry {
	return []entry{
		{name: bare},
		{name: library, program: "libqueue", args: args},
		{name: other, program: "gonfqueue", args: args},
		{name: ours, program: "queue", args: args},
		{name: ours + twoQueue, program: "queue", args: args, queues: 2},
	}
}

// doing returns the entries of a contest in which every packet has a verdict of
// its own.
func doing(work string) []entry {
	args := []string{"-work", work}
	return []entry{
		{name: single, program: "verdicts", args: args},
		{name: library, program: "libqueue", args: args},
		{name: ours, program: "queue", args: args},
	}
}

// logging returns the entries of a contest of logs.
func logging(threshold, bufSize string) []entry {
	args := []string{"-work", subject.Read, "-threshold", threshold, "-bufsiz", bufSize}
	return []entry{
		{name: logs, program: "liblog", args: args},
		{name: otherLog, program: "gonflog", args: args},
		{name: ours, program: "log", args: args},
	}
}
