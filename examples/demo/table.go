//go:build linux

package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The columns: number, hook, devices, protocol, addresses, length, decision.
const row = "%4v  %-8v %-10v %-7v %-47v %5v  %v\n"

func (g *gateway) printHeader() {
	fmt.Printf("Queue %d, one line a packet:\n\n", queueNum)
	fmt.Printf(row, "#", "hook", "devices", "proto", "from > to", "bytes", "decided")
}

// printPacket prints the line of one packet.
func (g *gateway) printPacket(p *nfqueue.Packet, what string, v nfqueue.Verdict) {
	proto, addrs := describe(p.Payload)
	if b, ok := v.Payload(); ok {
		what += fmt.Sprintf(" to %d bytes", len(b))
	}
	if mark, ok := v.Mark(); ok {
		what += fmt.Sprintf(" %#x", mark)
	}
	fmt.Printf(row, p.ID, p.Hook, g.names.devices(p.InDev, p.OutDev), proto, addrs, p.Len, what)
}

// logLine returns the line of one logged packet.
func (g *gateway) logLine(p *nflog.Packet) string {
	proto, addrs := describe(p.Payload)
	what := fmt.Sprintf("%q", p.Prefix)
	if p.Mark != 0 {
		what += fmt.Sprintf(" mark %#x", p.Mark)
	}
	return fmt.Sprintf(row, p.Seq, p.Hook, g.names.devices(p.InDev, p.OutDev), proto, addrs, len(p.Payload), what)
}

func (g *gateway) printLog() {
	fmt.Printf("\nLog group %d, one line a record:\n\n", logGroup)
	fmt.Printf(row, "seq", "hook", "devices", "proto", "from > to", "bytes", "prefix")
	for _, line := range g.log {
		fmt.Print(line)
	}
}

// describe returns the protocol and the addresses of a packet.
func describe(payload []byte) (proto, addrs string) {
	flow, ok := nfnl.ParseFlow(payload)
	if !ok {
		return "?", "not IP"
	}
	return flow.ProtocolName(), endpoint(flow.Src) + " > " + endpoint(flow.Dst)
}

// endpoint leaves out a port that the protocol does not have.
func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// A deviceTable names interface indexes.
type deviceTable map[int]string

// deviceNames reads the names of this namespace's devices once; here they do
// not change.
func deviceNames() deviceTable {
	names := deviceTable{}
	devices, _ := net.Interfaces() // a missing name shows as a number
	for _, d := range devices {
		names[d.Index] = d.Name
	}
	return names
}

// devices names the way of a packet, for example "lan > wan".
func (t deviceTable) devices(in, out int) string {
	switch {
	case in == 0:
		return "> " + t.name(out)
	case out == 0:
		return t.name(in) + " >"
	}
	return t.name(in) + " > " + t.name(out)
}

func (t deviceTable) name(index int) string {
	if name, ok := t[index]; ok {
		return name
	}
	return fmt.Sprint("#", index)
}

// account compares what the kernel's rules have met with what the program saw,
// and returns an error if anything is missing.
func (n *network) account(g *gateway, qs nfqueue.Stats, ls nflog.Stats, failures []string) error {
	queued, err := count(n.queued)
	if err != nil {
		return err
	}
	logged, err := count(n.logged)
	if err != nil {
		return err
	}
	fmt.Printf("\nqueued by the rules: %d = %d accepted + %d rewritten + %d marked + %d dropped + %d lost\n",
		queued, g.tally["accepted"], g.tally["rewritten"], g.tally["marked"], g.tally["dropped"], qs.Lost)
	fmt.Printf("logged by the rules: %d = %d read + %d lost\n", logged, len(g.log), ls.Lost)
	for _, f := range failures {
		fmt.Println("FAILED", f)
	}
	fmt.Printf("messages sent: %d, %d as expected\n", len(n.messages()), len(n.messages())-len(failures))
	if queued != g.n+qs.Lost || logged != uint64(len(g.log))+ls.Lost || len(failures) > 0 {
		return fmt.Errorf("not every packet is accounted for")
	}
	fmt.Println("every packet is accounted for")
	return nil
}
