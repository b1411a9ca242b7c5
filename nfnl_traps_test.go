//go:build linux

package nfpacket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// This file has what kernels of certain versions do to packets without a word.
// SECURITY.md lists it.

// The first packet of a connection arrives whole if it is a GSO packet, and in
// all its segments with Config.Segment. Kernels from 6.11 on, until that was
// mended in 6.12.75, 6.18.14, 6.19.4 and 7.0, drop the segments (CVE-2026-45859).
func TestNewConnectionsBeginWithGSO(t *testing.T) {
	mayDrop := nfnl.KernelAtLeast(6, 11) && !nfnl.KernelAtLeast(7, 0)
	for _, segment := range []bool{false, true} {
		t.Run(fmt.Sprintf("Segment %v", segment), func(t *testing.T) {
			r := newRoad(t)
			addRule(t, r.a, lab.IPv4, lab.Output, lab.Tracked(lab.New))
			q := openQueue(t, r.a, nfqueue.Config{Segment: segment})
			addRule(t, r.a, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Queue(0))
			pc, s := udpGSOPair(t, r, ipv4)
			runQueue(t, q, accept)
			sent := string(randomBytes(gsoSize * gsoSegments))
			_, err := s.Write([]byte(sent))
			if segment && mayDrop && errors.Is(err, unix.EPERM) {
				t.Log("this kernel drops them, as documented")
				return
			}
			must(t, err)
			if k, ok := kernelStats(t, q); segment && mayDrop && (!ok || k.LastID < gsoSegments) {
				t.Logf("%d segments of %d were queued, the others dropped, as documented", k.LastID, gsoSegments)
				return
			}
			for i := range gsoSegments {
				wantReceived(t, pc, sent[i*gsoSize:][:gsoSize])
			}
		})
	}
}

// rewriteAsGuest enters a network namespace that belongs to a user namespace of
// its own, and tells whether a packet that was rewritten arrives there.
func rewriteAsGuest() error {
	n, err := lab.Here()
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.Up("lo"); err != nil {
		return err
	}
	c, err := n.Chain(lab.IPv4, lab.Output, 0)
	if err != nil {
		return err
	}
	if _, err := c.Add(lab.UDP(9999), lab.Queue(0)); err != nil {
		return err
	}
	q, err := nfqueue.Open(nfqueue.Config{})
	if err != nil {
		return err
	}
	defer q.Close()
	to, err := n.ListenPacket("udp", ipv4.address())
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := n.Dial("udp", ipv4.address())
	if err != nil {
		return err
	}
	defer from.Close()
	first := true
	go q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
		if !first {
			return nfqueue.Accept()
		}
		first = false
		return nfqueue.Accept().WithPayload(append(p.Payload, " rewritten"...))
	})
	for _, d := range []string{"first", "second"} {
		if _, err := from.Write([]byte(d)); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	b := make([]byte, 100)
	length, _, err := to.ReadFrom(b)
	fmt.Println(string(b[:length]), q.Stats().Refused)
	return err
}

// A packet that was rewritten arrives also where the network namespace belongs
// to a user namespace, as in a container without root: up to 7.2, from when on
// the kernel drops it and says nothing. Packets that are only accepted pass.
func TestRewriteInAUserNamespace(t *testing.T) {
	n := newNet(t)
	h, err := startHelper(t, n, "guest", &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Logf("not checked: this system refuses another user namespace: %v", err)
		return
	}
	must(t, err)
	want := "first rewritten 0"
	if nfnl.KernelAtLeast(7, 2) {
		want = "second 0"
	}
	if got := h.next(t); got != want {
		t.Errorf("received, and refused: %q, want %q", got, want)
	}
}

// A rewrite may change an IPv4 header: up to 7.2, from when on the kernel drops
// packets with other options than before, and says nothing.
func TestRewriteOfTheIPHeader(t *testing.T) {
	l := newLane(t, ipv4, lab.Output, nfqueue.Config{})
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		if string(p.Payload[ipv4.headers:]) != "options" {
			return nfqueue.Accept()
		}
		b := slices.Insert(slices.Clone(p.Payload), ipv4Header, 1, 1, 1, 1) // no operation
		b[0]++                                                              // the header's length
		return nfqueue.Accept().WithPayload(b)
	})
	for _, d := range []string{"options", "none"} {
		if _, err := l.from.Write([]byte(d)); !errors.Is(err, unix.EPERM) {
			must(t, err)
		}
	}
	if !nfnl.KernelAtLeast(7, 2) {
		wantReceived(t, l.to, "options")
	}
	wantReceived(t, l.to, "none")
	if s := l.queue.Stats(); s.Refused != 0 {
		t.Errorf("%d verdicts refused", s.Refused)
	}
}
