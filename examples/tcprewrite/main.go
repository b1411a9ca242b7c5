// Tcprewrite replaces a text in what clients send, by one of another length, and
// the connection goes on: the kernel adjusts the sequence numbers of all that
// follows, both ways. It does that for a TCP connection that NAT changes and that
// has a helper, when a verdict has a packet of another length and a change of the
// connection:
//
//	go run ./examples/tcprewrite -install -old "Host: old" -new "Host: brand-new"
//
// It is for a router. Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_tcprewrite
//	add chain inet nfpacket_tcprewrite forward { type filter hook forward priority filter; }
//	add rule inet nfpacket_tcprewrite forward tcp dport 8000 queue flags bypass to 7
//
//	iptables -A FORWARD -p tcp --dport 8000 -j NFQUEUE --queue-num 7 --queue-bypass
//
// NAT and the helper are for the router's own rules. The helper comes before NAT,
// at -100: that is when the kernel makes room for the numbers. Which helper it is
// does not matter; nfct adds one that does nothing.
//
//	table ip router {
//		ct helper any { type "ftp" protocol tcp; }
//		chain help { type filter hook prerouting priority -150; tcp dport 8000 ct helper set "any"; }
//		chain nat { type nat hook prerouting priority dstnat; tcp dport 8000 dnat to 198.51.100.7; }
//	}
//
// A text that lies in two segments is not found. A packet that becomes longer than
// the MTU is lost: have the connection leave room ("tcp option maxseg size set
// 1300" in a rule for SYN).
package main

import (
	"bytes"
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	before := flag.String("old", "old", "the `text` to look for")
	after := flag.String("new", "brand-new", "the `text` to put in its place")
	program := rules.Parse("tcprewrite", rules.Queue(7).Bypass().Match("tcp dport 8000").At(rules.Forward))
	if *before == "" {
		log.Fatal("-old is empty")
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Conntrack, since a connection without NAT or a helper is refused only where it
	// is seen; Segment, since a GSO packet may not become shorter.
	q, err := nfqueue.Open(nfqueue.Config{
		Queue:     7,
		Conntrack: true,
		Segment:   true,
		Fallback:  nfqueue.Accept(),
		OnError:   func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		return rewrite(p, []byte(*before), []byte(*after))
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// rewrite returns the verdict on a packet in which before becomes after. The change
// of the connection's mark is what makes the kernel adjust its numbers.
func rewrite(p *nfqueue.Packet, before, after []byte) nfqueue.Verdict {
	c, err := p.Conntrack()
	flow, _ := nfnl.ParseFlow(p.Payload)
	head, data := p.Payload[:flow.PayloadOffset], p.Payload[flow.PayloadOffset:]
	if err != nil || flow.PayloadOffset == 0 || !bytes.Contains(data, before) {
		return nfqueue.Accept()
	}
	if !c.SourceNAT() && !c.DestinationNAT() {
		log.Printf("%v: no NAT changes the connection, so the kernel would not adjust it", p)
		return nfqueue.Accept()
	}
	packet := append(bytes.Clone(head), bytes.ReplaceAll(data, before, after)...)
	return nfqueue.Accept().WithPayload(packet).WithConntrackMark(1, 1)
}
