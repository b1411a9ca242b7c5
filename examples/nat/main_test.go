//go:build linux

package main

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestAddressesAndPortsAreChangedBothWays(t *testing.T) {
	for _, c := range []struct{ client, lan, wan, server, from, to string }{
		{"192.0.2.2/25", "192.0.2.1/25", "192.0.2.129/25", "192.0.2.130/25", "192.0.2.1:5000", "192.0.2.130:6000"},
		{"2001:db8:1::2/64", "2001:db8:1::1/64", "2001:db8:2::1/64", "2001:db8:2::2/64", "[2001:db8:1::1]:5000", "[2001:db8:2::2]:6000"},
	} {
		t.Run(c.from, func(t *testing.T) {
			client, router, server := exampletest.Router(t, c.client, c.lan, c.wan, c.server)
			exampletest.Start(t, router, "-from", c.from, "-to", c.to)
			echo(t, server, c.to)
			conn, err := client.Dial("udp", c.from)
			testkit.Must(t, err)
			defer conn.Close()
			exampletest.Send(t, conn, "hello")
			conn.SetReadDeadline(time.Now().Add(testkit.Patience))
			b := make([]byte, 100)
			l, err := conn.Read(b)
			clientAddr := netip.MustParsePrefix(c.client).Addr().String()
			if want := "hello from " + clientAddr; err != nil || string(b[:l]) != want {
				t.Errorf("received %q, %v; want %q", b[:l], err, want)
			}
		})
	}
}

// echo answers datagrams with what they say and who sent them.
func echo(t *testing.T, n *lab.Net, address string) {
	t.Helper()
	c, err := n.ListenPacket("udp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			l, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo([]byte(string(b[:l])+" from "+from.(*net.UDPAddr).IP.String()), from)
		}
	}()
}
