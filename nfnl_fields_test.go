//go:build linux

package nfpacket

import (
	"errors"
	"net"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A class ID is that of the control group in which the sender's socket is. It
// comes without being asked for.
func TestPacketTellsItsClass(t *testing.T) {
	const class = 0x00100001
	n := newNet(t)
	want := uint32(class)
	c, err := dialInClass(n, class)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Log(err)
		want = 0
		c, err = n.Dial("udp", ipv4.address())
	}
	must(t, err)
	defer c.Close()
	p := catch(t, n, ipv4, lab.Output, nfqueue.Config{}, func() { send(t, c, "x") })
	if !kernelSince(6, 4) {
		want = 0
	}
	if p.ClassID != want || p.HasOwner {
		t.Errorf("class %#x, want %#x; owner %v", p.ClassID, want, p.HasOwner)
	}
}

// dialInClass returns a connection whose socket is in a control group of the
// class.
func dialInClass(n *lab.Net, class uint32) (c net.Conn, err error) {
	err = lab.InClass(class, func() (err error) {
		c, err = n.Dial("udp", ipv4.address())
		return err
	})
	return c, err
}
