//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// patience is how long an answer may take, silence how long none is waited for.
const (
	patience = 5 * time.Second
	silence  = 200 * time.Millisecond
)

// serve answers on the server: every UDP datagram and TCP line comes back.
func (n *network) serve() error {
	for _, port := range []uint16{plainPort, upperPort, markPort, dropPort} {
		pc, err := n.server.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go echoDatagrams(pc)
	}
	l, err := n.server.Listen("tcp", fmt.Sprintf(":%d", tcpPort))
	if err != nil {
		return err
	}
	go echoStreams(l)
	return nil
}

func echoDatagrams(pc net.PacketConn) {
	b := make([]byte, 2048)
	for {
		k, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		pc.WriteTo(b[:k], from)
	}
}

func echoStreams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// A message is one thing the client sends, and what should come of it.
type message struct {
	name string
	send func() (reply string, err error)
	want string // the reply; empty if there must be none
}

// messages are all that the client sends.
func (n *network) messages() []message {
	var all []message
	for _, a := range n.sides {
		host, gateway := a.host.Addr(), a.lan.Addr()
		for _, m := range []struct {
			port uint16
			want string
		}{{plainPort, "hello"}, {upperPort, "HELLO, WORLD"}, {markPort, "hello"}, {dropPort, ""}} {
			to := netip.AddrPortFrom(host, m.port)
			all = append(all, message{"udp " + to.String(), func() (string, error) { return n.askUDP(to) }, m.want})
		}
		to := netip.AddrPortFrom(host, tcpPort)
		all = append(all, message{"tcp " + to.String(), func() (string, error) { return n.askTCP(to) }, "hello\n"})
		if !n.pings {
			continue
		}
		all = append(all,
			message{"ping " + host.String(), func() (string, error) { return n.ping(host) }, "hello"},
			message{"ping " + gateway.String(), func() (string, error) { return n.ping(gateway) }, "hello"})
	}
	return all
}

// askUDP sends a datagram and returns the answer, "" if there is none.
func (n *network) askUDP(to netip.AddrPort) (string, error) {
	c, err := n.client.Dial("udp", to.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		return "", err
	}
	wait := patience
	if to.Port() == dropPort {
		wait = silence
	}
	return readReply(c, wait)
}

// readReply reads one datagram, "" if none comes.
func readReply(c net.Conn, wait time.Duration) (string, error) {
	b := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(wait))
	k, err := c.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", nil
	}
	return string(b[:k]), err
}

// askTCP connects, sends a line and returns the answer.
func (n *network) askTCP(to netip.AddrPort) (string, error) {
	c, err := n.client.Dial("tcp", to.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

// ping sends an echo request and returns what comes back in the answer.
func (n *network) ping(to netip.Addr) (string, error) {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	c, err := n.client.Dial(network, to.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write(echoRequest(request, to.Is4())); err != nil {
		return "", err
	}
	for end := time.Now().Add(patience); ; {
		got, err := readReply(c, time.Until(end))
		if got == "" || err != nil {
			return "", err
		}
		if to.Is4() { // a raw socket of IPv4 delivers the IP header too
			got = got[int(got[0]&0xf)*4:]
		}
		if got[0] == reply && len(got) > echoHeader {
			return strings.TrimRight(got[echoHeader:], "\x00"), nil
		}
	}
}

// echoHeader is the length of an ICMP echo's header: type, code, checksum,
// identifier and sequence number.
const echoHeader = 8

// echoRequest returns an ICMP echo request. The kernel fills in the checksum
// of ICMPv6, not that of ICMP.
func echoRequest(typ byte, checksum bool) []byte {
	b := append([]byte{typ, 0, 0, 0, 0x12, 0x34, 0, 1}, "hello\x00"...)
	if !checksum {
		return b
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum+sum>>16))
	return b
}
