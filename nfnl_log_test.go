//go:build linux

package nfpacket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
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

// dialAs returns a connection whose socket belongs to a user and a group; where
// the user namespace has none but root, to root. It returns their numbers.
func dialAs(t testing.TB, n *lab.Net, address string) (c net.Conn, uid, gid int) {
	t.Helper()
	must(t, n.Do(func() (err error) {
		for _, set := range []func(int) error{unix.Setfsgid, unix.Setfsuid} {
			must(t, set(1234))
			defer set(0)
		}
		if uid, err = unix.SetfsuidRetUid(-1); err != nil {
			return err
		}
		if gid, err = unix.SetfsgidRetGid(-1); err != nil {
			return err
		}
		c, err = net.Dial("udp", address)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c, uid, gid
}

func TestLogTellsOfASentPacket(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		r := openLog(t, n, nflog.Config{Groups: []uint16{5}})
		addRule(t, n, v.family, lab.Output, lab.UDP(9999), lab.SetMark(0xbeef), lab.Log(5, "sent: ", 0, 0))
		lo, err := n.Index("lo")
		must(t, err)
		c, uid, gid := dialAs(t, n, v.address())
		before := time.Now()
		send(t, c, "hello")
		p := logged(t, r, 1)[0]
		if p.Group != 5 || p.Family != v.packets || p.Hook != nfnl.Output || string(p.Prefix) != "sent: " ||
			p.Mark != 0xbeef || p.InDev != 0 || p.OutDev != lo || p.Seq != 0 || p.GlobalSeq != 0 {
			t.Errorf("logged %+v", p)
		}
		if !p.HasOwner || int(p.UID) != uid || int(p.GID) != gid {
			t.Errorf("owner %v, UID %d, GID %d, want %d and %d", p.HasOwner, p.UID, p.GID, uid, gid)
		}
		if got := v.bodies([]*nflog.Packet{p})[0]; got != "hello" {
			t.Errorf("payload %q", got)
		}
		if !p.TimeOfReceipt || p.Time.Before(before.Round(0)) || p.Time.After(time.Now()) {
			t.Errorf("time %v, of receipt %v", p.Time, p.TimeOfReceipt)
		}
	})
}

func TestLogTellsOfAReceivedPacket(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		a, b, _, addr := wire(t, v)
		r := openLog(t, b, nflog.Config{Groups: []uint16{5}})
		addRule(t, b, v.family, lab.Prerouting, lab.UDP(9999), lab.Log(5, "", 0, 0))
		eth0, err := b.Index("eth0")
		must(t, err)
		c, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
		must(t, err)
		defer c.Close()
		before := time.Now().Truncate(time.Microsecond)
		send(t, c, "hello")
		p := logged(t, r, 1)[0]
		if p.Family != v.packets || p.Hook != nfnl.Prerouting || len(p.Prefix) != 0 || p.InDev != eth0 ||
			p.OutDev != 0 || p.Mark != 0 || p.HasOwner || p.HardwareType != 1 || p.HardwareLen != 14 {
			t.Errorf("logged %+v", p)
		}
		if len(p.HardwareHeader) != 14 || !bytes.Equal(p.HardwareHeader[6:12], p.HardwareAddr) ||
			binary.BigEndian.Uint16(p.HardwareHeader[12:]) != p.Proto {
			t.Errorf("hardware header % x, address %v, protocol %#x", p.HardwareHeader, p.HardwareAddr, p.Proto)
		}
		if p.TimeOfReceipt || p.Time.Before(before.Round(0)) || p.Time.After(time.Now()) {
			t.Errorf("time %v, of receipt %v", p.Time, p.TimeOfReceipt)
		}
	})
}

func TestGroupsOnOneSocket(t *testing.T) {
	const sent = 10
	n := newNet(t)
	r := openLog(t, n, nflog.Config{Groups: []uint16{5, 0, 65535}, GlobalSequence: true})
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "a", 0, 0), lab.Log(65535, "b", 0, 0), lab.Log(0, "c", 0, 0))
	_, from := udpPair(t, n, "udp", ipv4.address())
	for i := range sent {
		send(t, from, fmt.Sprint(i))
	}
	order := map[uint16]uint32{5: 0, 65535: 1, 0: 2} // in which the rule logs
	next := map[uint16]uint32{}
	for _, p := range logged(t, r, 3*sent) {
		if p.Seq != next[p.Group] || p.GlobalSeq != 3*p.Seq+order[p.Group]+1 || p.Prefix[0] != "abc"[order[p.Group]] {
			t.Errorf("group %d %q: number %d, of all %d", p.Group, p.Prefix, p.Seq, p.GlobalSeq)
		}
		next[p.Group]++
	}
	if s := r.Stats(); s.Packets != 3*sent || s.Lost != 0 || s.Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// receiveLog returns how many packets one datagram brought.
func receiveLog(t testing.TB, r *nflog.Reader, b *nflog.Batch) int {
	t.Helper()
	must(t, r.SetReadDeadline(time.Now().Add(patience)))
	must(t, r.Receive(b))
	return len(b.Packets)
}

func TestThresholdIsTheNumberOfPacketsInADatagram(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 40, Collect: time.Hour, Batch: 1})
	l.send(t, 0, 119)
	b := l.reader.NewBatch()
	for range 2 {
		if n := receiveLog(t, l.reader, b); n != 40 {
			t.Errorf("%d packets in a datagram", n)
		}
	}
	must(t, l.reader.TryReceive(b))
	if n := len(b.Packets); n != 0 {
		t.Errorf("%d packets too early", n)
	}
	l.send(t, 119, 1)
	if n := receiveLog(t, l.reader, b); n != 40 {
		t.Errorf("%d packets in the last datagram", n)
	}
}

func TestThresholdOfTheRuleIsLower(t *testing.T) {
	n := newNet(t)
	r := openLog(t, n, nflog.Config{Groups: []uint16{5}, Collect: time.Hour, Batch: 1})
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 3))
	_, from := udpPair(t, n, "udp", ipv4.address())
	send(t, from, "a", "b", "c", "d")
	if n := receiveLog(t, r, r.NewBatch()); n != 3 {
		t.Errorf("%d packets in a datagram", n)
	}
}

func TestCollectBoundsTheWait(t *testing.T) {
	for _, c := range []struct {
		collect, least, most time.Duration
	}{
		{0, 0, 900 * time.Millisecond}, // the kernel's own default is a second
		{300 * time.Millisecond, 250 * time.Millisecond, patience},
	} {
		l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1000, Collect: c.collect})
		start := time.Now()
		l.send(t, 0, 1)
		logged(t, l.reader, 1)
		if took := time.Since(start); took < c.least || took > c.most {
			t.Errorf("Collect %v: %v, not between %v and %v", c.collect, took, c.least, c.most)
		}
	}
}

func TestParametersReachTheKernel(t *testing.T) {
	n := newNet(t)
	openLog(t, n, nflog.Config{Groups: []uint16{5}})
	openLog(t, n, nflog.Config{Groups: []uint16{6}, CopyRange: 99, Collect: 2 * time.Second})
	openLog(t, n, nflog.Config{Groups: []uint16{7}, MetadataOnly: true, Collect: 11 * time.Millisecond})
	b, err := procNet(n, "netfilter/nfnetlink_log")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the kernel shows its log groups to root only")
	}
	must(t, err)
	// group, port ID, packets, copy mode, copy range, timeout in 1/100 s, users
	var got []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		got = append(got, strings.Join([]string{f[0], f[3], f[4], f[5]}, " "))
	}
	if want := "5 2 65531 1, 6 2 99 200, 7 1 0 2"; strings.Join(got, ", ") != want {
		t.Errorf("groups %q, want %q", got, want)
	}
}

func TestLoopLeftInTheMiddleGoesOn(t *testing.T) {
	eachVersion(t, func(t *testing.T, v ipVersion) {
		l := newLogLane(t, v, lab.Output, nflog.Config{Threshold: 10, Collect: time.Hour})
		l.send(t, 0, 20)
		v.wantNumbers(t, logged(t, l.reader, 3), 0, 3)
		v.wantNumbers(t, logged(t, l.reader, 4), 3, 4)
		b := l.reader.NewBatch()
		if n := receiveLog(t, l.reader, b); n != 13 { // both datagrams came at once
			t.Errorf("%d packets were left", n)
		}
		l.send(t, 20, 10)
		v.wantNumbers(t, logged(t, l.reader, 10), 20, 10)
	})
}

func TestCopyRangeAndSnaplen(t *testing.T) {
	body := strings.Repeat("x", 1000)
	for _, c := range []struct {
		cfg     nflog.Config
		snaplen uint32
		want    int
	}{
		{nflog.Config{}, 0, 1028},
		{nflog.Config{CopyRange: 40}, 0, 40},
		{nflog.Config{CopyRange: 40}, 24, 24},
		{nflog.Config{CopyRange: 40}, 100, 40},
		{nflog.Config{CopyRange: 2000}, 0, 1028},
		{nflog.Config{MetadataOnly: true}, 0, 0},
	} {
		n := newNet(t)
		c.cfg.Groups = []uint16{5}
		r := openLog(t, n, c.cfg)
		addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", c.snaplen, 0))
		_, from := udpPair(t, n, "udp", ipv4.address())
		send(t, from, body)
		p := logged(t, r, 1)[0]
		if len(p.Payload) != c.want || p.Proto != 0x0800 {
			t.Errorf("CopyRange %d, MetadataOnly %v, snaplen %d: %d bytes, want %d",
				c.cfg.CopyRange, c.cfg.MetadataOnly, c.snaplen, len(p.Payload), c.want)
		}
	}
}

func TestDatagramsOfEverySizeAreWhole(t *testing.T) {
	for _, size := range []uint32{0, 4096, 16384, 32768, 65536, 131072} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const sent = 400
			if size != 0 && int(size) < os.Getpagesize() {
				t.Skip("smaller than a page")
			}
			l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 10000, Collect: time.Hour, BufferSize: size})
			var lengths []int
			b := l.reader.NewBatch()
			// receive keeps room on the socket: without privilege over the
			// whole system it holds one of the longest datagrams.
			receive := func() {
				for n := 1; n > 0; n = len(b.Packets) {
					must(t, l.reader.TryReceive(b))
					for i := range b.Packets {
						lengths = append(lengths, len(b.Packets[i].Payload))
					}
				}
			}
			for i := range sent {
				send(t, l.from, strings.Repeat("x", 600+i))
				if i%20 == 0 {
					receive()
				}
			}
			send(t, l.from, strings.Repeat("y", 60000)) // larger than most buffers
			receive()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			rest, err := collectUntil(ctx, l.reader)
			wantError(t, "loop", err, context.Canceled)
			for _, p := range rest {
				lengths = append(lengths, len(p.Payload))
			}
			if s := l.reader.Stats(); len(lengths) != sent+1 || s.Malformed != 0 || s.Lost != 0 {
				t.Fatalf("%d packets of %d, stats %+v", len(lengths), sent+1, s)
			}
			for i, n := range lengths[:sent] {
				if n != 28+600+i {
					t.Errorf("packet %d has %d bytes, want %d", i, n, 28+600+i)
				}
			}
			if n := lengths[sent]; n != 28+60000 {
				t.Errorf("the longest packet has %d bytes", n)
			}
		})
	}
}

// sendFrame sends an Ethernet frame out of a device of n.
func sendFrame(t testing.TB, n *lab.Net, device string, frame []byte) {
	t.Helper()
	index, err := n.Index(device)
	must(t, err)
	must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
	}))
}

func TestIngressTellsLinkHeaderAndTag(t *testing.T) {
	for _, c := range []struct {
		name string
		tag  []byte
		want attr.VLAN
	}{
		{"untagged", nil, attr.VLAN{}},
		{"802.1Q", []byte{0x81, 0x00, 0xa0, 42}, attr.VLAN{Protocol: 0x8100, TCI: 0xa02a}},
		{"802.1ad", []byte{0x88, 0xa8, 0x01, 10}, attr.VLAN{Protocol: 0x88a8, TCI: 266}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, addrA, addrB := wire(t, ipv4)
			r := openLog(t, b, nflog.Config{Groups: []uint16{5}})
			chain, err := b.DeviceChain("eth0", lab.Ingress, 0)
			must(t, err)
			_, err = chain.Add(lab.Log(5, "frame", 0, 0))
			must(t, err)
			eth0, err := b.Index("eth0")
			must(t, err)

			src := net.HardwareAddr{2, 0, 0, 0, 0, 1}
			addresses := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, src...)
			packet := udpPacket(t, addrA, addrB, "hello")
			header := append(bytes.Clone(addresses), 0x08, 0x00)
			frame := bytes.Join([][]byte{addresses, c.tag, {0x08, 0x00}, packet}, nil)
			sendFrame(t, a, "eth0", frame)

			p := logged(t, r, 1)[0]
			if p.Family != nfnl.NetDev || p.Hook.Name(p.Family) != "ingress" || p.InDev != eth0 || string(p.Prefix) != "frame" {
				t.Errorf("logged %+v", p)
			}
			if !bytes.Equal(p.LinkHeader, header) || p.VLAN != c.want || !bytes.Equal(p.HardwareAddr, src) {
				t.Errorf("link header % x, tag %v, from %v; want % x, %v, %v", p.LinkHeader, p.VLAN, p.HardwareAddr, header, c.want, src)
			}
			if p.Proto != 0x0800 || !bytes.Equal(p.Payload, packet) {
				t.Errorf("protocol %#x, payload % x", p.Proto, p.Payload)
			}
		})
	}
}

func TestLogOverflowIsCountedToThePacket(t *testing.T) {
	for _, threshold := range []uint32{1, 10} {
		t.Run(fmt.Sprintf("threshold %d", threshold), func(t *testing.T) {
			const sent = 2000
			var told collector
			l := newLogLane(t, ipv4, lab.Output, nflog.Config{
				Threshold: threshold, Collect: time.Hour, OnError: told.add,
				Socket: nfnl.Config{ReadBuffer: 32 << 10},
			})
			l.send(t, 0, sent)
			b := l.reader.NewBatch()
			for n := 1; n > 0; n = len(b.Packets) {
				must(t, l.reader.TryReceive(b))
			}
			if s := l.reader.Stats(); s.Lost != 0 || s.SocketDrops == 0 {
				t.Errorf("before anything follows the gap: %+v", s)
			}
			l.send(t, sent, int(threshold)) // makes the gap visible
			receiveLog(t, l.reader, b)
			s := l.reader.Stats()
			if s.Lost == 0 || s.Packets+s.Lost != sent+uint64(threshold) || s.Lost != uint64(s.SocketDrops)*uint64(threshold) {
				t.Errorf("%d packets, %d lost of %d; %d datagrams dropped", s.Packets, s.Lost, sent+threshold, s.SocketDrops)
			}
			wantOverruns(t, &told, s.Lost, false)
			l.send(t, sent, int(threshold)) // the socket works again
			receiveLog(t, l.reader, b)
			if after := l.reader.Stats(); after.Lost != s.Lost {
				t.Errorf("%d lost, then %d", s.Lost, after.Lost)
			}
		})
	}
}

func TestGroupOfAnotherSocketIsTaken(t *testing.T) {
	n := newNet(t)
	first := openLog(t, n, nflog.Config{Groups: []uint16{6}})
	cfg := nflog.Config{Groups: []uint16{5, 6}, Socket: nfnl.Config{NetNS: n.FD()}}
	_, err := nflog.Open(cfg)
	if !errors.Is(err, nflog.ErrTaken) || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "group 6") {
		t.Errorf("second Open: %v, want ErrTaken and os.ErrPermission, for group 6", err)
	}
	openLog(t, n, nflog.Config{Groups: []uint16{5}})         // given back
	openLog(t, newNet(t), nflog.Config{Groups: []uint16{6}}) // another namespace
	must(t, first.Close())
	openLog(t, n, nflog.Config{Groups: []uint16{6}}) // free again
}

func TestFailedOpenConnGivesGroupsBack(t *testing.T) {
	n := newNet(t)
	openLog(t, n, nflog.Config{Groups: []uint16{6}})
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	defer conn.Close()
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}}); !errors.Is(err, nflog.ErrTaken) {
		t.Errorf("OpenConn: %v, want ErrTaken", err)
	}
	openLog(t, n, nflog.Config{Groups: []uint16{5}})
}

func TestGroupOfTheConnectionIsAdopted(t *testing.T) {
	var told collector
	n := newNet(t)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	bind, err := nflog.Config{Threshold: 1}.Bind(5)
	must(t, err)
	must(t, conn.Request(bind))
	_, from := udpPair(t, n, "udp", ipv4.address())
	send(t, from, "0", "1", "2")
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}, CopyRange: 29, OnError: told.add})
	must(t, err)
	defer r.Close()
	send(t, from, "3xx")
	got := logged(t, r, 4)
	ipv4.wantNumbers(t, got, 0, 4)
	if s := r.Stats(); s.Lost != 0 || len(told.errs) != 0 {
		t.Errorf("stats %+v, OnError was told %v", s, told.errs)
	}
}

func TestLogWithoutTheCapability(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	err := withoutNetAdmin(t, l.net, func() error {
		_, err := nflog.Open(nflog.Config{Groups: []uint16{6}})
		return err
	})
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, nflog.ErrTaken) || !strings.Contains(fmt.Sprint(err), "CAP_NET_ADMIN") {
		t.Errorf("error %v, want os.ErrPermission that names the capability", err)
	}

	// Reading needs none, and a loop that may not unbind leaves the group bound.
	for i := range 3 {
		l.send(t, i, 1)
		var got []*nflog.Packet
		err = withoutNetAdmin(t, l.net, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for p, err := range l.reader.Packets(ctx) {
				if err != nil {
					return err
				}
				got = append(got, p.Clone())
				cancel()
			}
			return nil
		})
		wantError(t, "loop", err, context.Canceled)
		ipv4.wantNumbers(t, got, i, 1)
		if len(got) == 1 && got[0].Seq != uint32(i) {
			t.Errorf("number %d, want %d", got[0].Seq, i)
		}
	}
}

func TestCloseEndsABlockedReader(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	seen := make(chan struct{}, 2)
	loop := func() error {
		for _, err := range l.reader.Packets(context.Background()) {
			if err != nil {
				return err
			}
			seen <- struct{}{}
		}
		return nil
	}
	first, second := background(loop), background(loop)
	l.send(t, 0, 1)
	next(t, seen)
	must(t, l.reader.Close())
	wantError(t, "first loop", next(t, first), net.ErrClosed)
	wantError(t, "second loop", next(t, second), net.ErrClosed)
	must(t, l.reader.Close())
	wantError(t, "Receive", l.reader.Receive(l.reader.NewBatch()), net.ErrClosed)
}

func TestLogDeadlineEndsReceiving(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	must(t, l.reader.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	wantError(t, "Receive", l.reader.Receive(l.reader.NewBatch()), os.ErrDeadlineExceeded)
	must(t, l.reader.SetReadDeadline(time.Time{}))
	l.send(t, 0, 1)
	ipv4.wantNumbers(t, logged(t, l.reader, 1), 0, 1)
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

func TestCancelLosesNothingThatWasCollected(t *testing.T) {
	const sent = 300
	cause := errors.New("the cause")
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, Collect: 5 * time.Second})
	addRule(t, l.net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Log(6, "", 0, 0))
	for round := range 3 {
		ctx, cancel := context.WithCancelCause(context.Background())
		var all []*nflog.Packet
		ended := background(func() (err error) {
			all, err = collectUntil(ctx, l.reader)
			return err
		})
		await(t, "the groups to be bound", func() bool {
			b, err := procNet(l.net, "netfilter/nfnetlink_log")
			return err != nil || strings.Count(string(b), "\n") == 2
		})
		start := time.Now()
		l.send(t, 0, sent)
		cancel(cause)
		wantError(t, "loop", next(t, ended), cause)
		took := time.Since(start)
		var of [7][]*nflog.Packet
		for _, p := range all {
			of[p.Group] = append(of[p.Group], p)
		}
		for _, group := range []int{5, 6} {
			ipv4.wantNumbers(t, of[group], 0, sent)
			if len(of[group]) > 0 && of[group][0].Seq != 0 {
				t.Errorf("round %d: group %d begins with number %d", round, group, of[group][0].Seq)
			}
		}
		if took > 4*time.Second {
			t.Errorf("cancelling took %v", took)
		}
	}
	if s := l.reader.Stats(); s.Lost != 0 || s.Malformed != 0 || s.Packets != 3*2*sent {
		t.Errorf("stats %+v", s)
	}
}

// TestCancelUnderFlood counts what comes while loops come and go.
func TestCancelUnderFlood(t *testing.T) {
	var told collector
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 50, OnError: told.add})
	stop := flood(t, &lane{from: l.from})
	packets := uint64(0)
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		count, first := uint64(0), uint32(0)
		var last uint32
		for p, err := range l.reader.Packets(ctx) {
			if err != nil {
				wantError(t, "loop", err, context.DeadlineExceeded)
				break
			}
			if count == 0 {
				first = p.Seq
			}
			if count++; p.Seq < last {
				t.Errorf("number %d after %d", p.Seq, last)
			}
			last = p.Seq
		}
		cancel()
		if packets += count; count > 0 && first != 0 && l.reader.Stats().Lost == 0 {
			t.Errorf("a loop begins with number %d", first)
		}
	}
	stop()
	if s := l.reader.Stats(); s.Packets != packets || s.Malformed != 0 {
		t.Errorf("%d packets yielded, stats %+v", packets, s)
	}
}

// TestFakeLogKernelAnswersAsTheRealOne holds what nflogtest knows of the kernel
// against the kernel.
func TestFakeLogKernelAnswersAsTheRealOne(t *testing.T) {
	n := newNet(t)
	real, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	defer real.Close()
	fake, _ := nflogtest.New(t)
	const config = 0x0401
	for _, c := range []struct {
		name  string
		typ   nfnl.Type
		group uint16
		attrs []byte
	}{
		{"nothing on a group that is not bound", config, 5, nil},
		{"unbind a group that is not bound", config, 5, attr.AppendUint8(nil, 1, 2)},
		{"no command on a group that is not bound", config, 5, attr.AppendUint8(nil, 1, 0)},
		{"bind", config, 5, attr.AppendUint8(nil, 1, 1)},
		{"bind again", config, 5, attr.AppendUint8(nil, 1, 1)},
		{"bind another", config, 6, attr.AppendUint8(nil, 1, 1)},
		{"nothing", config, 5, nil},
		{"no command", config, 5, attr.AppendUint8(nil, 1, 0)},
		{"unknown command", config, 5, attr.AppendUint8(nil, 1, 9)},
		{"a mode", config, 5, attr.AppendBytes(nil, 2, []byte{0, 0, 0, 9, 2, 0})},
		{"a short mode", config, 5, attr.AppendBytes(nil, 2, []byte{0, 0, 0, 9, 2})},
		{"short flags", config, 5, attr.AppendUint8(nil, 6, 1)},
		{"flags", config, 5, attr.AppendUint16(nil, 6, 3)},
		{"a packet", 0x0400, 5, nil},
		{"an unknown message", 0x0407, 5, nil},
		{"unbind", config, 5, attr.AppendUint8(nil, 1, 2)},
		{"unbind again", config, 5, attr.AppendUint8(nil, 1, 2)},
		{"bind once more", config, 5, attr.AppendUint8(nil, 1, 1)},
	} {
		m := nfnl.Message{Header: nfnl.Header{Type: c.typ, Resource: c.group}, Attrs: c.attrs}
		want, got := errnoOf(real.Request(m)), errnoOf(fake.Request(m))
		if got != want {
			t.Errorf("%s: the fake answers %v, the kernel %v", c.name, got, want)
		}
	}
}

// errnoOf returns the kernel's answer, 0 for an acknowledgement.
func errnoOf(err error) (errno syscall.Errno) {
	errors.As(err, &errno)
	return errno
}

// TestCancelMakesRoomForWhatWasCollected fills the socket to the last datagram,
// so that what the kernel has collected would not fit.
func TestCancelMakesRoomForWhatWasCollected(t *testing.T) {
	const threshold, collected = 10, 5
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{
		Threshold: threshold, Collect: time.Hour, Socket: nfnl.Config{ReadBuffer: 32 << 10},
	})
	l.send(t, 0, 100*threshold)
	b := l.reader.NewBatch()
	fit := 0
	for n := 1; n > 0; n = len(b.Packets) {
		must(t, l.reader.TryReceive(b))
		fit += len(b.Packets)
	}
	drops := l.reader.Stats().SocketDrops
	if drops == 0 {
		t.Fatal("the socket holds more than was sent")
	}

	l.send(t, 0, fit+collected)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	packets, err := collectUntil(ctx, l.reader)
	wantError(t, "loop", err, context.Canceled)
	ipv4.wantNumbers(t, packets, 0, fit+collected)
	if n := l.reader.Stats().SocketDrops; n != drops {
		t.Errorf("%d datagrams dropped", n-drops)
	}
}
