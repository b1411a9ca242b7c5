//go:build linux

package queue

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// catch queues packets to port 9999 at a hook, and returns the first.
func catch(t *testing.T, n *lab.Net, v endtoend.IPVersion, h lab.Hook, cfg nfqueue.Config, sendOne func()) *nfqueue.Packet {
	t.Helper()
	q := endtoend.OpenQueue(t, n, cfg)
	endtoend.AddRule(t, n, v.Family, h, lab.UDP(9999), lab.SetMark(0xfeed), lab.Queue(cfg.Queue))
	t.Cleanup(func() { testkit.Must(t, n.Flush()) })
	packets := make(chan *nfqueue.Packet, 1)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		packets <- p.Clone()
		return nfqueue.Accept()
	})
	sendOne()
	return testkit.Next(t, packets)
}

// A packet says where it was caught and by which devices it came and goes.
func TestPacketTellsItsWay(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, addrA, addrB := endtoend.NetPair(t, v)
		for i, hook := range []struct {
			net     *lab.Net
			hook    lab.Hook
			want    nfnl.Hook
			in, out bool
		}{
			{a, lab.Output, nfnl.Output, false, true},
			{a, lab.Postrouting, nfnl.Postrouting, false, true},
			{b, lab.Prerouting, nfnl.Prerouting, true, false},
			{b, lab.Input, nfnl.Input, true, false},
		} {
			t.Run(hook.hook.String(), func(t *testing.T) {
				p := catch(t, hook.net, v, hook.hook, nfqueue.Config{Queue: uint16(i)}, func() {
					endtoend.SendRaw(t, a, addrB, endtoend.UDPPacket(t, addrA, addrB, "hello"))
				})
				index, err := hook.net.Index("eth0")
				testkit.Must(t, err)
				in, out := 0, 0
				if hook.in {
					in = index
				}
				if hook.out {
					out = index
				}
				if p.InDev != in || p.OutDev != out {
					t.Errorf("devices in %d, out %d, want %d and %d", p.InDev, p.OutDev, in, out)
				}
				if hook.in {
					wantSender(t, p, a)
				}
				if p.Hook != hook.want || p.Family != v.PacketFamily || p.Queue != uint16(i) || p.ID != 1 || p.Mark != 0xfeed {
					t.Errorf("hook %v, family %v, queue %d, ID %d, mark %#x", p.Hook, p.Family, p.Queue, p.ID, p.Mark)
				}
				if got := string(p.Payload[v.Headers:]); got != "hello" || p.Len != len(p.Payload) {
					t.Errorf("payload %q, Len %d of %d", got, p.Len, len(p.Payload))
				}
			})
		}
	})
}

// wantSender checks that the hardware address is that of n's device.
func wantSender(t *testing.T, p *nfqueue.Packet, n *lab.Net) {
	t.Helper()
	var sender net.HardwareAddr
	testkit.Must(t, n.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			sender = i.HardwareAddr
		}
		return err
	}))
	if p.HardwareAddr.String() != sender.String() {
		t.Errorf("hardware address %v, want %v", p.HardwareAddr, sender)
	}
}

// UID and GID are those of the initial user namespace, whatever this program
// is in its own.
func TestPacketTellsItsOwner(t *testing.T) {
	for name, owner := range map[string]bool{"with Owner": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			c, uid, gid := endtoend.DialAs(t, n, endtoend.IPv4.Address())
			p := catch(t, n, endtoend.IPv4, lab.Output, nfqueue.Config{Owner: owner}, func() { endtoend.Send(t, c, "x") })
			var wantUID, wantGID uint32
			if owner {
				wantUID, wantGID = outside(t, "uid", uid), outside(t, "gid", gid)
			}
			if p.HasOwner != owner || p.UID != wantUID || p.GID != wantGID {
				t.Errorf("owner %v, UID %d, GID %d, want %v, %d, %d", p.HasOwner, p.UID, p.GID, owner, wantUID, wantGID)
			}
		})
	}
}

// outside returns what the number of a user ("uid") or group ("gid") is in the
// namespace around this program's own, which in these tests is the initial one.
func outside(t *testing.T, kind string, id int) uint32 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/" + kind + "_map")
	testkit.Must(t, err)
	var first, there uint32
	_, err = fmt.Sscan(string(b), &first, &there)
	testkit.Must(t, err)
	return uint32(id) - first + there
}

// What the kernel was not built for Open refuses, and leaves nothing behind.
func TestOpenRefusesWhatTheKernelLacks(t *testing.T) {
	n := endtoend.NewNet(t)
	open := func(cfg nfqueue.Config) error {
		cfg.Socket.NetNS = n.FD()
		q, err := nfqueue.Open(cfg)
		switch {
		case err == nil:
			testkit.Must(t, q.Close())
		case !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.EINVAL):
			t.Errorf("Open: %v, want EOPNOTSUPP", err)
		}
		testkit.Must(t, endtoend.OpenQueue(t, n, nfqueue.Config{}).Close())
		return err
	}
	if open(nfqueue.Config{Flags: 1 << 30}) == nil {
		t.Error("the kernel took a flag that nobody knows")
	}
	packets, verdicts := open(nfqueue.Config{Conntrack: true}), open(nfqueue.Config{ConntrackVerdicts: true})
	if (packets == nil) != (verdicts == nil) {
		t.Errorf("Open with Conntrack: %v; with ConntrackVerdicts: %v; want the same", packets, verdicts)
	}
	open(nfqueue.Config{SecurityContext: true}) // few kernels lack it
}
