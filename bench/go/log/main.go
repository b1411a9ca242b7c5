// Log is nfpacket's program in the comparison of logs: package nflog, as its
// users call it, with a loop that looks at payload, mark, input device and
// prefix.
package main

import (
	"log"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func main() {
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	r, err := nflog.Open(nflog.Config{
		Groups:     []uint16{o.Queue},
		Threshold:  o.Threshold,
		BufferSize: o.BufSize,
		Socket:     nfnl.Config{ReadBuffer: o.Buffer},
		OnError:    func(err error) { log.Print(err) },
	})
	subject.Must(err)
	defer r.Close()

	subject.AwaitStart(r.Granted().ReadBuffer)
	m := subject.Start(o)
	done, seen := 0, uint64(0)
	for p, err := range r.Packets(ctx) {
		subject.Must(err)
		seen += uint64(p.Mark) + uint64(p.InDev)
		if len(p.Payload) > 0 {
			seen += uint64(p.Payload[0])
		}
		if len(p.Prefix) > 0 {
			seen += uint64(p.Prefix[0])
		}
		if done++; done == o.Count {
			break
		}
	}
	m.Report(done, 0)
	if seen == 0 { // the harness logs packets with a mark
		log.Fatal("no packet had anything in it")
	}
}
