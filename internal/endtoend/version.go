//go:build linux

package endtoend

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// An IPVersion is a version of IP, with what tests need of it.
type IPVersion struct {
	Name         string
	Family       lab.Family
	PacketFamily nfnl.Family
	Host         string // the loopback address
	Headers      int    // length of the IP and UDP headers
}

// Address is where the receivers of tests listen: port 9999 of the loopback address.
func (v IPVersion) Address() string { return net.JoinHostPort(v.Host, "9999") }

// Bodies returns the data of logged UDP datagrams.
func (v IPVersion) Bodies(packets []*nflog.Packet) (all []string) {
	for _, p := range packets {
		all = append(all, string(p.Payload[min(v.Headers, len(p.Payload)):]))
	}
	return all
}

// WantNumbers fails the test unless the packets carry the numbers from first on.
func (v IPVersion) WantNumbers(t testing.TB, packets []*nflog.Packet, first, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(first+i))
	}
	if got := v.Bodies(packets); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// The versions of IP.
var (
	IPv4       = IPVersion{"IPv4", lab.IPv4, nfnl.IPv4, "127.0.0.1", 28}
	IPv6       = IPVersion{"IPv6", lab.IPv6, nfnl.IPv6, "::1", 48}
	ipVersions = []IPVersion{IPv4, IPv6}
)

// EachVersion runs f as a subtest for IPv4 and for IPv6.
func EachVersion(t *testing.T, f func(t *testing.T, v IPVersion)) {
	for _, v := range ipVersions {
		t.Run(v.Name, func(t *testing.T) { f(t, v) })
	}
}

// IPv4Header is the length of an IPv4 header without options.
const IPv4Header = 20
