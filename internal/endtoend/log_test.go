//go:build linux

package endtoend

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

// openLog opens log groups in n; the reader is closed with the test.
func openLog(t testing.TB, n *lab.Net, cfg nflog.Config) *nflog.Reader {
	t.Helper()
	cfg.Socket.NetNS = n.FD()
	r, err := nflog.Open(cfg)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// A logLane is a way for datagrams over the loopback device of a new namespace,
// past a rule that logs them.
type logLane struct {
	net    *lab.Net
	reader *nflog.Reader
	from   net.Conn
	to     net.PacketConn
}

// newLogLane makes a lane with a rule at the hook that logs to the first group
// of cfg, or to group 5 if it has none. At the hook output a packet has been
// logged when send returns.
func newLogLane(t testing.TB, v ipVersion, h lab.Hook, cfg nflog.Config) *logLane {
	t.Helper()
	if cfg.Groups == nil {
		cfg.Groups = []uint16{5}
	}
	l := &logLane{net: newNet(t)}
	l.reader = openLog(t, l.net, cfg)
	addRule(t, l.net, v.family, h, lab.UDP(9999), lab.Log(cfg.Groups[0], "", 0, 0))
	l.to, l.from = udpPair(t, l.net, "udp", v.address())
	return l
}

// logged returns the next n packets.
func logged(t testing.TB, r *nflog.Reader, n int) (all []*nflog.Packet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for p, err := range r.Packets(ctx) {
		must(t, err)
		if all = append(all, p.Clone()); len(all) == n {
			break
		}
	}
	return all
}

// bodies returns what the datagrams of v carry.
func (v ipVersion) bodies(packets []*nflog.Packet) (all []string) {
	for _, p := range packets {
		all = append(all, string(p.Payload[min(v.headers, len(p.Payload)):]))
	}
	return all
}

// wantBodies fails the test unless the packets carry the numbers from first on.
func (v ipVersion) wantNumbers(t testing.TB, packets []*nflog.Packet, first, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(first+i))
	}
	if got := v.bodies(packets); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// send sends the numbers from first on.
func (l *logLane) send(t testing.TB, first, n int) {
	t.Helper()
	for i := range n {
		send(t, l.from, fmt.Sprint(first+i))
	}
}

// receiveLog returns how many packets one datagram brought.
func receiveLog(t testing.TB, r *nflog.Reader, b *nflog.Batch) int {
	t.Helper()
	must(t, r.SetReadDeadline(time.Now().Add(patience)))
	must(t, r.Receive(b))
	return len(b.Packets)
}

// collectUntil iterates until ctx is done, and returns what came and the error.
func collectUntil(ctx context.Context, r *nflog.Reader) (all []*nflog.Packet, last error) {
	for p, err := range r.Packets(ctx) {
		if err != nil {
			return all, err
		}
		all = append(all, p.Clone())
	}
	return all, nil
}
