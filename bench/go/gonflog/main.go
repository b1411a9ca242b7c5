// Gonflog is go-nflog's program in the comparison of logs: its hook function,
// which looks at payload, mark, input device and prefix.
package main

import (
	"log"
	"sync/atomic"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/mdlayher/netlink"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

func main() {
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	r, err := gonflog.Open(&gonflog.Config{
		Group:    o.Queue,
		Copymode: gonflog.CopyPacket,
		Bufsize:  o.BufSize,
		QThresh:  o.Threshold,
		Flags:    gonflog.FlagSeq,
	})
	subject.Must(err)
	defer r.Close()
	subject.Must(r.SetOption(netlink.NoENOBUFS, true))
	subject.Must(r.Con.SetReadBuffer(o.Buffer))
	granted, err := r.Con.ReadBuffer()
	subject.Must(err)

	var done atomic.Int64
	seen := uint64(0)
	start := make(chan struct{})
	hook := func(a gonflog.Attribute) int {
		<-start
		if a.Mark != nil && a.InDev != nil {
			seen += uint64(*a.Mark) + uint64(*a.InDev)
		}
		if a.Payload != nil && len(*a.Payload) > 0 {
			seen += uint64((*a.Payload)[0])
		}
		if a.Prefix != nil && len(*a.Prefix) > 0 {
			seen += uint64((*a.Prefix)[0])
		}
		if n := done.Add(1); n == int64(o.Count) {
			cancel()
		}
		return 0
	}
	subject.Must(r.RegisterWithErrorFunc(ctx, hook, func(err error) int {
		if ctx.Err() != nil {
			return 1
		}
		log.Print(err)
		return 0
	}))
	subject.AwaitStart(granted)
	m := subject.Start(o)
	close(start)
	<-ctx.Done()
	m.Report(int(done.Load()), 0)
}
