// Nat changes addresses and ports of UDP: what is sent to one address goes to
// another, and the answers seem to come from where the question went. Connection
// tracking has no part in it, so it also shows what the kernel's NAT does with each
// packet:
//
//	go run ./examples/nat -install -from 192.0.2.1:5000 -to 198.51.100.7:6000
//
// It is for a router. The destination is changed at the hook prerouting, before the
// route is chosen; the source at postrouting, for the kernel refuses a packet that
// comes in with an address of its own. Its rules, which -rules prints and -install
// installs:
//
//	add table inet nfpacket_nat
//	add chain inet nfpacket_nat prerouting_mangle { type filter hook prerouting priority mangle; }
//	add rule inet nfpacket_nat prerouting_mangle meta l4proto udp queue flags bypass to 7
//	add chain inet nfpacket_nat postrouting_mangle { type filter hook postrouting priority mangle; }
//	add rule inet nfpacket_nat postrouting_mangle meta l4proto udp queue flags bypass to 7
//
//	iptables -t mangle -A PREROUTING -p udp -j NFQUEUE --queue-num 7 --queue-bypass
//	iptables -t mangle -A POSTROUTING -p udp -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func main() {
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	to := netip.MustParseAddrPort("198.51.100.7:6000")
	flag.TextVar(&from, "from", from, "the `address` that clients send to")
	flag.TextVar(&to, "to", to, "the `address` of the server, of the same family")
	udp := rules.Queue(7).Bypass().In(rules.Mangle).Match("meta l4proto udp")
	program := rules.Parse("nat", udp.At(rules.Prerouting), udp.At(rules.Postrouting))
	if from.Addr().BitLen() != to.Addr().BitLen() {
		log.Fatalf("-from %v and -to %v are of two families", from, to)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Segment, since UDP that the kernel is yet to cut cannot be rewritten.
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Segment: true, OnError: func(err error) { log.Print(err) }})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}

	err = q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := nfnl.ParseFlow(p.Payload)
		switch {
		case p.Hook == nfnl.Prerouting && flow.Dst == from:
			set(p.Payload, flow, destination, to)
		case p.Hook == nfnl.Postrouting && flow.Src == to:
			set(p.Payload, flow, source, from)
		default:
			return nfqueue.Accept()
		}
		return nfqueue.Accept().WithPayload(p.Payload) // which sets the checksums
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// An end is one of a packet: the first or the second of its addresses and ports.
type end int

const (
	source      end = 0
	destination end = 1
)

// set writes an address and a port to where they are in a packet.
//
//	 0    8         12        16            24
//	| ...           | source  | destination |               IPv4
//	| ... | source            ...           | destination   IPv6
//
//	 0        2             4
//	| source | destination | ...                            UDP
func set(packet []byte, flow nfnl.Flow, e end, a netip.AddrPort) {
	first, width := 12, 4
	if a.Addr().Is6() {
		first, width = 8, 16
	}
	copy(packet[first+int(e)*width:], a.Addr().AsSlice())
	binary.BigEndian.PutUint16(packet[flow.TransportOffset+int(e)*2:], a.Port())
}
