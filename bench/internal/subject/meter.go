package subject

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Result is what a program measured. The harness reads it.
type Result struct {
	Packets int64 `json:"packets"`
	WallNS  int64 `json:"wall_ns,omitempty"` // from the first receive to the last verdict
	UserNS  int64 `json:"user_ns,omitempty"`
	SysNS   int64 `json:"sys_ns,omitempty"`
	RSSKB   int64 `json:"rss_kb,omitempty"`  // peak, of the whole life
	Calls   int64 `json:"calls,omitempty"`   // system calls, if the program can count them
	Mallocs int64 `json:"mallocs,omitempty"` // heap objects; Go programs only

	Switches int64 `json:"switches,omitempty"` // voluntary context switches; Go programs only

	// Of round trips.
	P50NS int64 `json:"p50_ns,omitempty"`
	P90NS int64 `json:"p90_ns,omitempty"`
	P99NS int64 `json:"p99_ns,omitempty"`
}

// A Meter encloses what is measured.
type Meter struct {
	began   time.Time
	usage   unix.Rusage
	mallocs uint64
	profile *os.File
}

// Start begins to measure.
func Start(o Options) *Meter {
	m := &Meter{}
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		Must(err)
		Must(pprof.StartCPUProfile(f))
		m.profile = f
	}
	m.mallocs = mallocs()
	Must(unix.Getrusage(unix.RUSAGE_SELF, &m.usage))
	m.began = time.Now()
	return m
}

// Report ends it, and prints the result; calls are system calls, 0 if unknown.
func (m *Meter) Report(packets, calls int) {
	wall := time.Since(m.began)
	var u unix.Rusage
	Must(unix.Getrusage(unix.RUSAGE_SELF, &u))
	r := Result{
		Packets: int64(packets),
		WallNS:  wall.Nanoseconds(),
		UserNS:  u.Utime.Nano() - m.usage.Utime.Nano(),
		SysNS:   u.Stime.Nano() - m.usage.Stime.Nano(),
		Calls:   int64(calls),
		Mallocs: int64(mallocs() - m.mallocs),
		RSSKB:   peakMemory(),

		Switches: int64(u.Nvcsw - m.usage.Nvcsw), // an int32 on 32-bit machines
	}
	if m.profile != nil {
		pprof.StopCPUProfile()
		m.profile.Close()
	}
	Must(json.NewEncoder(os.Stdout).Encode(r))
}

func mallocs() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.Mallocs
}

// peakMemory returns kilobytes. The ru_maxrss of a process counts what its
// parent had before exec, too; this does not.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	Must(err)
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			Must(err)
			return kb
		}
	}
	return 0
}
