//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// A network is three hosts in a row, each a network namespace:
//
//	client ---- lan [gateway] wan ---- server
//
// The gateway is this process's own namespace. Its rules queue and log what it
// forwards, and what the client sends to it.
type network struct {
	client, gateway, server *lab.Net

	sides []side // of the families that the gateway forwards
	pings bool   // whether raw sockets may be opened
	notes []string

	queued []*lab.Rule // rules that queue, each with a counter
	logged []*lab.Rule // rules that log
}

// The numbers of the queue and the log group, and the mark that one kind of
// packets gets.
const (
	queueNum  = 7
	logGroup  = 5
	demoMark  = 0x7
	plainPort = 5000 // UDP: accepted
	upperPort = 5001 // UDP: rewritten
	markPort  = 5002 // UDP: marked
	dropPort  = 5003 // UDP: dropped
	tcpPort   = 8080 // TCP, which takes no privilege: accepted
)

// A side is one family's addresses.
type side struct {
	family                 lab.Family
	client, lan, wan, host netip.Prefix
}

var sides = []side{
	{lab.IPv4, prefix("192.0.2.2/25"), prefix("192.0.2.1/25"), prefix("192.0.2.129/25"), prefix("192.0.2.130/25")},
	{lab.IPv6, prefix("2001:db8:1::2/64"), prefix("2001:db8:1::1/64"), prefix("2001:db8:2::1/64"), prefix("2001:db8:2::2/64")},
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// newNetwork makes the hosts, the wires and the addresses.
func newNetwork() (*network, error) {
	var n network
	var s steps
	n.gateway = step(&s, lab.Here)
	n.client = step(&s, lab.NewNet)
	n.server = step(&s, lab.NewNet)
	s.do(func() error { return n.client.Veth("eth0", n.gateway, "lan") })
	s.do(func() error { return n.server.Veth("eth0", n.gateway, "wan") })
	for _, device := range []struct {
		net  *lab.Net
		name string
	}{{n.client, "eth0"}, {n.gateway, "lan"}, {n.gateway, "wan"}, {n.server, "eth0"}} {
		s.do(func() error { return device.net.Up(device.name) })
	}
	for _, a := range sides {
		s.do(func() error { return n.client.AddAddr("eth0", a.client) })
		s.do(func() error { return n.gateway.AddAddr("lan", a.lan) })
		s.do(func() error { return n.gateway.AddAddr("wan", a.wan) })
		s.do(func() error { return n.server.AddAddr("eth0", a.host) })
	}
	for _, a := range sides {
		s.do(func() error { return n.client.AddRoute(a.host.Masked(), a.lan.Addr()) })
		s.do(func() error { return n.server.AddRoute(a.client.Masked(), a.wan.Addr()) })
	}
	// A router asks for its IPv6 neighbours from a link-local address.
	for _, device := range []string{"lan", "wan"} {
		s.do(func() error { return n.gateway.AddAddr(device, prefix("fe80::1/64")) })
	}
	s.do(n.forward)
	return &n, s.err
}

// forward makes the gateway forward what it can, and finds out what the client can
// send: a container may lack a privilege.
func (n *network) forward() error {
	var s steps
	s.do(func() error { return n.gateway.Forward4("lan") })
	s.do(func() error { return n.gateway.Forward4("wan") })
	n.sides = sides
	if err := n.gateway.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
		n.sides = slices.DeleteFunc(slices.Clone(sides), func(a side) bool { return a.family == lab.IPv6 })
		n.notes = append(n.notes, fmt.Sprintf("without IPv6: %v", err))
	}
	raw, err := n.client.Dial("ip4:icmp", "127.0.0.1")
	switch n.pings = err == nil; {
	case n.pings:
		raw.Close()
	case errors.Is(err, os.ErrPermission):
		n.notes = append(n.notes, "without pings: raw sockets take CAP_NET_RAW")
	default:
		s.do(func() error { return err })
	}
	return s.err
}

// addRules queues what the gateway forwards and what is sent to it, and logs
// what has the mark and what is on its way to the server's TCP port.
func (n *network) addRules() error {
	var s steps
	for _, a := range n.sides {
		forward := step(&s, func() (*lab.Chain, error) { return n.gateway.Chain(a.family, lab.Forward, 0) })
		input := step(&s, func() (*lab.Chain, error) { return n.gateway.Chain(a.family, lab.Input, 0) })
		after := step(&s, func() (*lab.Chain, error) { return n.gateway.Chain(a.family, lab.Forward, 10) })
		add := func(to *[]*lab.Rule, c *lab.Chain, terms ...lab.Term) {
			*to = append(*to, step(&s, func() (*lab.Rule, error) { return c.Add(terms...) }))
		}
		add(&n.queued, forward, lab.Queue(queueNum))
		add(&n.queued, input, lab.In("lan"), lab.Queue(queueNum))
		add(&n.logged, after, lab.Mark(demoMark), lab.Log(logGroup, "marked: ", 0, 0))
		add(&n.logged, after, lab.TCP(tcpPort), lab.Log(logGroup, "to the web: ", 0, 0))
	}
	return s.err
}

// count returns how many packets the rules have met.
func count(rules []*lab.Rule) (total uint64, err error) {
	for _, r := range rules {
		n, err := r.Packets()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// steps does one thing after the other until one fails.
type steps struct{ err error }

func (s *steps) do(f func() error) {
	if s.err == nil {
		s.err = f()
	}
}

// step is steps.do for what has a result.
func step[T any](s *steps, f func() (T, error)) (v T) {
	s.do(func() (err error) {
		v, err = f()
		return err
	})
	return v
}
