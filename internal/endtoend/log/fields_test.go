//go:build linux

package log

import (
	"bytes"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// The loopback device has link headers, of a type of its own.
func TestLogTellsOfTheLoopbackDevice(t *testing.T) {
	const arphrdLoopback = 772
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Input, nflog.Config{Threshold: 1})
	lo, err := l.Net.Index("lo")
	testkit.Must(t, err)
	endtoend.Send(t, l.From, "hello")
	p := endtoend.NextLogged(t, l.Reader, 1)[0]
	if p.InDev != lo || p.HardwareType != arphrdLoopback || p.HardwareLen != 14 || len(p.HardwareHeader) != 14 {
		t.Errorf("in %d, type %d, header %x of %d bytes", p.InDev, p.HardwareType, p.HardwareHeader, p.HardwareLen)
	}
	if !bytes.Equal(p.HardwareAddr, make([]byte, 6)) || p.LinkHeader != nil || p.PhysInDev != 0 || p.PhysOutDev != 0 {
		t.Errorf("address %v, link header %x, ports %d and %d", p.HardwareAddr, p.LinkHeader, p.PhysInDev, p.PhysOutDev)
	}
}
