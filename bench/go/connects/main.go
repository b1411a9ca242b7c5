// Connects is a client, a server and the handler of a queue in one program: TCP
// connections over the loopback device whose first packets wait for a verdict,
// which is to go through the chain again with a mark. The library is nfpacket,
// or go-nfqueue with -library.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"time"

	gonfqueue "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// mark lets a packet pass the rule before the queue rule.
const mark = 1

func main() {
	library := flag.String("library", "nfpacket", "nfpacket or go-nfqueue")
	address := flag.String("address", "127.0.0.1:9500", "`address` whose packets are queued")
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	var closeQueue func()
	switch *library {
	case "nfpacket":
		closeQueue = open(ctx, o)
	case "go-nfqueue":
		closeQueue = openOther(ctx, o)
	default:
		log.Fatalf("unknown library %q", *library)
	}
	defer closeQueue()

	l, err := net.Listen("tcp4", *address)
	subject.Must(err)
	go accept(l)
	subject.AwaitStart(0)
	m := subject.Start(o)
	done := 0
	for ; done < o.Count; done++ {
		c, err := net.DialTimeout("tcp4", *address, 10*time.Second)
		subject.Must(err)
		subject.Must(c.(*net.TCPConn).SetLinger(0)) // no ports left behind that wait
		c.Close()
	}
	m.Report(done, 0)
}

// accept closes every connection.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

func open(ctx context.Context, o subject.Options) func() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: o.Queue, OnError: func(err error) { log.Print(err) }})
	subject.Must(err)
	go func() {
		err := q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Repeat().WithMark(mark) })
		if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
			log.Fatal(err)
		}
	}()
	return func() { q.Close() }
}

func openOther(ctx context.Context, o subject.Options) func() {
	q, err := gonfqueue.Open(&gonfqueue.Config{
		NfQueue:      o.Queue,
		MaxPacketLen: o.CopyRange,
		MaxQueueLen:  o.MaxLen,
		Copymode:     gonfqueue.NfQnlCopyPacket,
		Flags:        gonfqueue.NfQaCfgFlagGSO,
		WriteTimeout: time.Second,
	})
	subject.Must(err)
	subject.Must(q.SetOption(netlink.NoENOBUFS, true))
	hook := func(a gonfqueue.Attribute) int {
		if err := q.SetVerdictWithOption(*a.PacketID, gonfqueue.NfRepeat, gonfqueue.WithMark(mark)); err != nil {
			log.Print(err)
		}
		return 0
	}
	subject.Must(q.RegisterWithErrorFunc(ctx, hook, func(error) int { return 1 }))
	return func() { q.Close() }
}
