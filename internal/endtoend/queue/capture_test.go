//go:build linux

package queue

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

func TestCaptureQueue(t *testing.T) {
	endtoend.CaptureAll(t, "nfqueue", map[string]func(t *testing.T) *endtoend.Tape{
		"output-owner":   queueOwner,
		"prerouting":     queuePrerouting,
		"bridge-vlan":    queueBridge,
		"output-gso-cut": queueGSO,
		"output-class":   queueClass,
		"output-label":   queueLabel,
	})
}

func queueOwner(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Owner: true}.Bind())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.SetMark(0xfeed), lab.Queue(7))
	c, _, _ := endtoend.DialAs(t, n, endtoend.IPv4.Address())
	endtoend.SetSocketOption(t, c, unix.SO_PRIORITY, 6)
	endtoend.Send(t, c, "hello")
	if p := tp.Accept(); !p.HasOwner || p.Mark != 0xfeed || !p.ChecksumPending || p.Priority != 6 && diagnose.KernelAtLeast(5, 18) {
		t.Errorf("%+v", p)
	}
	return tp
}

func queuePrerouting(t *testing.T) *endtoend.Tape {
	a, b, addrA, addrB := endtoend.NetPair(t, endtoend.IPv6)
	endtoend.TakeReceiptTimes(t, b)
	tp := endtoend.NewTape(t, b)
	tp.Configure(nfqueue.Config{Queue: 7}.Bind())
	endtoend.AddRule(t, b, lab.IPv6, lab.Prerouting, lab.UDP(9999), lab.Queue(7))
	endtoend.SendRaw(t, a, addrB, endtoend.UDPPacket(t, addrA, addrB, "hello"))
	if p := tp.Accept(); p.InDev == 0 || len(p.HardwareAddr) != 6 || !p.ChecksumUnverified {
		t.Errorf("%+v", p)
	}
	return tp
}

func queueBridge(t *testing.T) *endtoend.Tape {
	a, n, _ := endtoend.BridgedNets(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7}.Bind())
	chain, err := n.Chain(lab.Bridge, lab.Forward, 0)
	testkit.Must(t, err)
	if _, err = chain.Add(lab.Queue(7)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	testkit.Must(t, err)
	testkit.Await(t, "for the ports to forward", func() bool {
		endtoend.SendFrame(t, a, "eth0", endtoend.TaggedFrame(t))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(tp.FD), Events: unix.POLLIN}}, 100)
		return err == nil && n == 1
	})
	if p := tp.Accept(); p.Family != nfnl.Bridge || p.VLAN.TCI != 0xa02a || len(p.LinkHeader) != 14 || p.PhysInDev == 0 || p.PhysOutDev == 0 {
		t.Errorf("%+v", p)
	}
	return tp
}

func queueGSO(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, CopyRange: 64}.Bind())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(7))
	_, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	raw, err := c.(syscall.Conn).SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, endtoend.GSOSize) }))
	testkit.Must(t, err)
	endtoend.Send(t, c, endtoend.Letters(endtoend.GSOSegments*endtoend.GSOSize))
	if p := tp.Accept(); !p.GSO || !p.Truncated() || p.Len != 28+endtoend.GSOSegments*endtoend.GSOSize {
		t.Errorf("%+v", p)
	}
	return tp
}

// queueClass captures a packet of a socket in a control group.
func queueClass(t *testing.T) *endtoend.Tape {
	const class = 0x00100001
	n := endtoend.NewNet(t)
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7}.Bind())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(7))
	c, err := dialInClass(n, class)
	if errors.Is(err, errors.ErrUnsupported) || !diagnose.KernelAtLeast(6, 4) {
		t.Skipf("no classes in packets here: %v", err)
	}
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "hello")
	if p := tp.Accept(); p.ClassID != class {
		t.Errorf("%+v", p)
	}
	return tp
}

// queueLabel captures a packet with a label of a security module, in a
// connection that has it too.
func queueLabel(t *testing.T) *endtoend.Tape {
	n := endtoend.NewNet(t)
	endtoend.NeedConntrack(t, n, nfqueue.Config{Conntrack: true})
	mark, ok := secMark(t, n)
	if !ok {
		t.Skip("nothing has labels here")
	}
	tp := endtoend.NewTape(t, n)
	tp.Configure(nfqueue.Config{Queue: 7, Conntrack: true, SecurityContext: true}.Bind())
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), mark, lab.SetCTSecMark(), lab.Queue(7))
	_, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "hello")
	p := tp.Accept()
	conn, err := p.Conntrack()
	if err != nil || !bytes.HasPrefix(p.SecurityContext, []byte(label)) || string(conn.SecurityContext) != label {
		t.Errorf("%v: %q, %q", err, p.SecurityContext, conn.SecurityContext)
	}
	return tp
}
