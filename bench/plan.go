package main

import (
	"time"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

// A scale is how much is measured.
type scale struct {
	rounds  int
	packets int // in a drain
	traced  int // in a drain under strace
	trips   int // in a ping-pong
	flood   time.Duration
	stream  time.Duration
}

var (
	fullScale  = scale{rounds: 7, packets: 60000, traced: 6400, trips: 20000, flood: 2 * time.Second, stream: 2 * time.Second}
	shortScale = scale{rounds: 2, packets: 6400, traced: 1280, trips: 1000, flood: 200 * time.Millisecond, stream: 200 * time.Millisecond}
)

// Names of entries.
const (
	ours     = "nfpacket"
	busy     = "nfpacket, BusyPoll 50 µs"
	floor    = "C, least possible"
	single   = "C, a verdict each"
	library  = "libnetfilter_queue"
	logs     = "libnetfilter_log"
	loop     = "netlink.Conn loop"
	bare     = "no queue"
	oneQueue = ", 1 queue"
	twoQueue = ", 2 queues"
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
)

// contests returns all contests but those that show growth.
func contests(s scale) []contest {
	accept := []entry{
		{name: floor, program: "floor"},
		{name: library, program: "libqueue"},
		{name: loop, program: "conn"},
		{name: ours, program: "queue"},
	}
	trips := []entry{
		{name: bare},
		{name: library, program: "libqueue"},
		{name: ours, program: "queue"},
		{name: busy, program: "queue", args: []string{"-busypoll", "50us"}},
	}
	return []contest{
		{accept64, drain(s.packets, 64), accept},
		{accept1400, drain(s.packets, 1400), accept},
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
		{name: ours, program: "log", args: args},
	}
}
