//go:build linux

package lab_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"golang.org/x/sys/unix"
)

// Without TxChecksum a UDP packet arrives with its checksum, and with it only
// with the sum of the pseudo header.
func TestSetOffload(t *testing.T) {
	a, b := pair(t)
	must(t, a.SetOffload("eth0", true, lab.TxChecksum))
	partial := checksum(t, a, b)
	must(t, a.SetOffload("eth0", false, lab.GSO, lab.TSO, lab.TxChecksum))
	must(t, b.SetOffload("eth0", false, lab.GRO))
	full := checksum(t, a, b)
	if partial == full {
		t.Errorf("checksum %#04x with and without offload", full)
	}
}

// checksum sends a datagram from a to b and returns its checksum on arrival.
func checksum(t *testing.T, a, b *lab.Net) uint16 {
	t.Helper()
	// The protocol is an int with the bytes of a big-endian 16-bit number.
	ip := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
	var fd int
	must(t, b.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(ip))
		return err
	}))
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(time.Second.Nanoseconds())
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))

	pc, err := a.ListenPacket("udp", "192.0.2.1:9998")
	must(t, err)
	defer pc.Close()
	c, err := b.ListenPacket("udp", "192.0.2.2:9999")
	must(t, err)
	defer c.Close()
	_, err = pc.WriteTo([]byte("lab"), c.LocalAddr())
	must(t, err)

	packet := make([]byte, 100)
	n, err := unix.Read(fd, packet)
	must(t, err)
	if n < 28 {
		t.Fatalf("a packet of %d bytes", n)
	}
	return binary.BigEndian.Uint16(packet[26:])
}

func TestSetOffloadErrors(t *testing.T) {
	n := newNet(t)
	if err := n.SetOffload("eth7", false, lab.GRO); err == nil {
		t.Error("no such device: no error")
	}
	if err := n.SetOffload("a-name-that-is-too-long", false, lab.GRO); err == nil {
		t.Error("name too long: no error")
	}
}
