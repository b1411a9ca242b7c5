//go:build linux

package queue

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// BenchmarkManyQueues is of 64 queues, one of which is busy, and a handler that
// makes garbage: what the receive buffers of all cost in memory and collections,
// with and without a limit for the garbage collector (GOMEMLIMIT).
func BenchmarkManyQueues(b *testing.B) {
	for name, limit := range map[string]int64{"unlimited": math.MaxInt64, "limit=100MiB": 100 << 20} {
		b.Run(name, func(b *testing.B) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
			n := endtoend.NewNet(b)
			qs := endtoend.OpenRange(b, n, nfqueue.Config{}, 64)
			endtoend.AddRule(b, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(0))
			_, from := endtoend.UDPPair(b, n, "udp", endtoend.IPv4.Address())
			ctx, cancel := context.WithCancel(context.Background())
			var seen atomic.Int64
			var kept [1024]*nfqueue.Packet
			done := testkit.Background(func() error {
				return qs.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
					kept[seen.Add(1)%int64(len(kept))] = p.Clone()
					return nfqueue.Accept()
				})
			})
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			body := string(endtoend.RandomBytes(1400))
			b.ResetTimer()
			for i := range b.N {
				endtoend.Send(b, from, body)
				for int64(i)-seen.Load() > 64 { // so that none is lost
					runtime.Gosched()
				}
			}
			testkit.Await(b, "all are decided", func() bool { return seen.Load() == int64(b.N) })
			b.StopTimer()
			runtime.ReadMemStats(&after)
			resident, err := residentSize()
			testkit.Must(b, err)
			b.ReportMetric(float64(resident)/(1<<20), "MB-resident")
			b.ReportMetric(float64(after.NextGC)/(1<<20), "MB-nextgc")
			b.ReportMetric(float64(after.NumGC-before.NumGC)/float64(b.N)*1000, "collections/1000packets")
			cancel()
			<-done
		})
	}
}

// residentSize returns how much memory the process has, in bytes.
func residentSize() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		return 0, fmt.Errorf("no VmRSS in %q", status)
	}
	n, err := strconv.Atoi(string(m[1]))
	return n << 10, err
}
