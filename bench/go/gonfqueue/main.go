// Gonfqueue is go-nfqueue's program in the comparison: its hook function, as in
// its documentation, with one verdict a packet.
package main

import (
	"context"
	"log"
	"sync/atomic"
	"time"

	gonfqueue "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

func main() {
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	q, err := gonfqueue.Open(&gonfqueue.Config{
		NfQueue:      o.Queue,
		MaxPacketLen: o.CopyRange,
		MaxQueueLen:  o.MaxLen,
		Copymode:     gonfqueue.NfQnlCopyPacket,
		Flags:        gonfqueue.NfQaCfgFlagGSO,
		WriteTimeout: time.Second,
	})
	subject.Must(err)
	defer q.Close()
	subject.Must(q.SetOption(netlink.NoENOBUFS, true))
	subject.Must(q.Con.SetReadBuffer(o.Buffer))
	granted, err := q.Con.ReadBuffer()
	subject.Must(err)

	// The hook runs from Register on: nothing waits before the harness is told.
	var done atomic.Int64
	start := make(chan struct{})
	hook := func(a gonfqueue.Attribute) int {
		<-start
		if err := q.SetVerdict(*a.PacketID, gonfqueue.NfAccept); err != nil {
			log.Print(err)
		}
		if n := done.Add(1); o.Count > 0 && n == int64(o.Count) {
			cancel()
		}
		return 0
	}
	subject.Must(q.RegisterWithErrorFunc(ctx, hook, func(err error) int { return stopped(ctx, err) }))
	subject.AwaitStart(granted)
	m := subject.Start(o)
	close(start)
	<-ctx.Done()
	m.Report(int(done.Load()), 0)
}

// stopped ends the reading goroutine when the context is done, and reports what
// else goes wrong.
func stopped(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		return 1
	}
	log.Print(err)
	return 0
}
