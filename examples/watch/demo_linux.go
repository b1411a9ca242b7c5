package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// demoDropped is the port to which the demo's packets are dropped.
const demoDropped = 5003

// enterDemo moves the program into a network namespace of its own.
func enterDemo() error { return lab.Enter() }

// The addresses of the demo: a client in a second namespace, and this program's.
var demoAddrs = []struct{ client, server netip.Prefix }{
	{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("192.0.2.1/24")},
	{netip.MustParsePrefix("2001:db8::2/64"), netip.MustParsePrefix("2001:db8::1/64")},
}

// startDemo makes a network, rules that queue what the client sends, and traffic
// until ctx is done.
func startDemo(ctx context.Context) error {
	here, err := lab.Here()
	if err != nil {
		return err
	}
	client, err := lab.NewNet()
	if err != nil {
		return err
	}
	if err := connect(client, here); err != nil {
		return err
	}
	for _, family := range []lab.Family{lab.IPv4, lab.IPv6} {
		input, err := here.Chain(family, lab.Input, 0)
		if err != nil {
			return err
		}
		if _, err := input.Add(lab.In("wire"), lab.Queue(7)); err != nil {
			return err
		}
	}
	return traffic(ctx, client, here)
}

func connect(client, server *lab.Net) error {
	err := client.Veth("wire", server, "wire")
	for _, n := range []*lab.Net{client, server} {
		if err == nil {
			err = n.Up("wire")
		}
	}
	for _, a := range demoAddrs {
		if err == nil {
			err = client.AddAddr("wire", a.client)
		}
		if err == nil {
			err = server.AddAddr("wire", a.server)
		}
	}
	return err
}

// A stream is what the client sends to a port, again and again.
type stream struct {
	network string
	port    uint16
	bytes   int
	pause   time.Duration
}

var streams = []stream{
	{"udp", 53, 40, 40 * time.Millisecond},
	{"udp", 443, 1200, 4 * time.Millisecond},
	{"udp", demoDropped, 100, 100 * time.Millisecond},
	{"tcp", 8080, 600, 20 * time.Millisecond},
}

// traffic serves all streams and starts them.
func traffic(ctx context.Context, client, server *lab.Net) error {
	for _, a := range demoAddrs {
		for _, s := range streams {
			address := netip.AddrPortFrom(a.server.Addr(), s.port).String()
			closer, err := serve(server, s.network, address)
			if err != nil {
				return err
			}
			context.AfterFunc(ctx, func() { closer.Close() })
			go s.send(ctx, client, address)
		}
	}
	return nil
}

// serve swallows what comes to the address.
func serve(n *lab.Net, network, address string) (io.Closer, error) {
	if network == "udp" {
		return n.ListenPacket(network, address)
	}
	l, err := n.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	return l, nil
}

// send sends until ctx is done. A TCP connection takes a packet to begin, so it is
// made here, when packets are decided on.
func (s stream) send(ctx context.Context, client *lab.Net, address string) {
	var c net.Conn
	for b := make([]byte, s.bytes); ctx.Err() == nil; time.Sleep(s.pause) {
		if c == nil {
			c, _ = client.Dial(s.network, address)
			continue
		}
		if _, err := c.Write(b); err != nil {
			c.Close()
			c = nil
		}
	}
}
