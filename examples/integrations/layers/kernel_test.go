//go:build linux

package layers

import (
	"os"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// On packets of the running kernel: a handler looks into DNS queries with a Parser,
// and what it accepts is read by a PacketSource.
func TestQueriesOfTheKernel(t *testing.T) {
	lab.Require(t)
	n, err := lab.NewNet()
	must(t, err)
	defer n.Close()
	socket := nfnl.Config{NetNS: n.FD()}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Socket: socket})
	must(t, err)
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}, Socket: socket})
	must(t, err)
	defer r.Close()
	out, err := n.Chain(lab.Inet, lab.Output, 0)
	must(t, err)
	in, err := n.Chain(lab.Inet, lab.Input, 0)
	must(t, err)
	_, err = out.Add(lab.UDP(53), lab.Queue(7))
	must(t, err)
	_, err = in.Add(lab.UDP(53), lab.Log(5, "accepted", 0, 0))
	must(t, err)

	dns := &layers.DNS{}
	parser := NewParser(dns)
	go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
		_, err := parser.Decode(p.Proto, p.Payload)
		if err == nil && len(dns.Questions) == 1 && string(dns.Questions[0].Name) == "example.com" {
			return nfqueue.Accept()
		}
		return nfqueue.Drop()
	})
	for _, name := range []string{"other.example", "example.com"} {
		ask(t, n, "127.0.0.1:53", name)
		ask(t, n, "[::1]:53", name)
	}

	source := NewSource(t.Context(), r)
	defer source.Close()
	packets := gopacket.NewPacketSource(source, Network)
	for range 2 {
		p, err := packets.NextPacket()
		must(t, err)
		query, _ := p.Layer(layers.LayerTypeDNS).(*layers.DNS)
		if query == nil || string(query.Questions[0].Name) != "example.com" {
			t.Errorf("logged %v", p)
		}
	}
	if s := q.Stats(); s.Packets != 4 {
		t.Errorf("%d packets were decided, want 4", s.Packets)
	}
}

// ask sends a query.
func ask(t *testing.T, n *lab.Net, server, name string) {
	t.Helper()
	c, err := n.Dial("udp", server)
	must(t, err)
	defer c.Close()
	_, err = c.Write(serialized(t, &layers.DNS{Questions: []layers.DNSQuestion{{Name: []byte(name), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}}))
	must(t, err)
}
