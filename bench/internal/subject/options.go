package subject

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// timeLimit bounds the life of a program; a drain takes well under a second.
const timeLimit = 60 * time.Second

// What programs do with packets.
const (
	Accept = "accept" // nothing but the verdict
	Mark   = "mark"   // a different mark on every packet
	Raw    = "raw"    // a byte of the payload changed, checksums left as they are
	Pass   = "pass"   // the mark Passed, by which rules let the rest of a connection pass
	Finish = "finish" // the same, with the checksums computed
	Hand   = "hand"   // packets handed to another goroutine, which accepts them
	Read   = "read"   // for logs: payload, mark, input device and prefix are looked at
)

// Passed is the mark of connections that were let pass.
const Passed = 1

// UDPData is where the data of an IPv4 UDP packet begins.
const UDPData = 28

// Options are the command line.
type Options struct {
	Queue     uint16        // the first queue, or the group
	Queues    int           // how many, each with a goroutine
	Count     int           // packets to stop at, 0: at SIGTERM
	Sample    int           // of those that wait, how many to decide
	Work      string        // one of the constants above
	Newest    bool          // decide the newest first, not the oldest
	Buffer    int           // receive buffer to ask for, in bytes
	MaxLen    uint32        // of the queue
	CopyRange uint32        // bytes of a packet to ask for
	Threshold uint32        // of the log group
	BufSize   uint32        // of the log group, 0: the default
	BusyPoll  time.Duration // poll so long before waiting
	Batch     int           // packets of one receive, 0: the default
	Compute   int           // goroutines that compute meanwhile
	Ranges    bool          // one verdict for a row of packets, where that is allowed
	Profile   string        // file for a CPU profile
}

// Parse reads the command line.
func Parse() Options {
	var o Options
	queue := flag.Uint("queue", 0, "`number` of the first queue, or of the log group")
	flag.IntVar(&o.Queues, "queues", 1, "`number` of queues")
	flag.IntVar(&o.Count, "count", 0, "`packets` to stop at; 0 stops at SIGTERM")
	flag.IntVar(&o.Sample, "sample", 0, "let all packets wait, then decide on so many `packets`")
	flag.StringVar(&o.Work, "work", Accept, "what to do: accept, mark, pass, raw, finish, hand or read")
	order := flag.String("order", "oldest", "which to decide first: oldest or newest")
	flag.IntVar(&o.Buffer, "buffer", 8<<20, "receive buffer to ask for, in `bytes`")
	maxLen := flag.Uint("maxlen", 65536, "length of the queue, in `packets`")
	copyRange := flag.Uint("copyrange", 65531, "`bytes` of a packet to ask for")
	threshold := flag.Uint("threshold", 1, "`packets` for the kernel to collect before it delivers a log")
	bufSize := flag.Uint("bufsiz", 0, "`bytes` for the kernel to collect; 0 is the default")
	flag.DurationVar(&o.BusyPoll, "busypoll", 0, "how `long` to poll before waiting")
	flag.IntVar(&o.Batch, "batch", 0, "`packets` of one receive; 0 is the default")
	procs := flag.Int("procs", 0, "processors for Go code (GOMAXPROCS); 0 is the default")
	flag.IntVar(&o.Compute, "compute", 0, "`number` of goroutines that compute meanwhile")
	flag.BoolVar(&o.Ranges, "ranges", false, "use range verdicts")
	flag.StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile to `file`")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	o.Queue, o.MaxLen = uint16(*queue), uint32(*maxLen)
	o.CopyRange = uint32(*copyRange)
	o.Threshold, o.BufSize = uint32(*threshold), uint32(*bufSize)
	o.Newest = *order == "newest"
	return o
}

// Context is done at SIGTERM, or when the program has lived too long.
func Context() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	return ctx, func() { cancel(); stop() }
}

// AwaitStart says that the sockets are open, with the receive buffer that was
// granted, and waits for the harness.
func AwaitStart(granted int) {
	fmt.Println("ready", granted)
	if n, _ := os.Stdin.Read(make([]byte, 8)); n == 0 {
		os.Exit(0) // the harness has given up
	}
}

// Must ends the program on an error.
func Must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
