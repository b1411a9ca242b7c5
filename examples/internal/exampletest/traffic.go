//go:build linux

package exampletest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// UDP returns a socket that listens at address and one that is connected to it.
func UDP(t *testing.T, n *lab.Net, address string) (to net.PacketConn, from net.Conn) {
	t.Helper()
	to, err := n.ListenPacket("udp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { to.Close() })
	from, err = n.Dial("udp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { from.Close() })
	return to, from
}

// Numbers returns n texts that sort in this order.
func Numbers(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("%05d", i))
	}
	return texts
}

// Send sends datagrams.
func Send(t *testing.T, from net.Conn, datagrams ...string) {
	t.Helper()
	for _, d := range datagrams {
		_, err := from.Write([]byte(d))
		testkit.Must(t, err)
	}
}

// Receive returns the next n datagrams, which must come.
func Receive(t *testing.T, to net.PacketConn, n int) (datagrams []string) {
	t.Helper()
	to.SetReadDeadline(time.Now().Add(testkit.Patience))
	b := make([]byte, 1<<16)
	for range n {
		l, _, err := to.ReadFrom(b)
		if err != nil {
			t.Fatalf("after %q: %v", datagrams, err)
		}
		datagrams = append(datagrams, string(b[:l]))
	}
	return datagrams
}

// ReceiveNothing fails the test if a datagram comes.
func ReceiveNothing(t *testing.T, to net.PacketConn) {
	t.Helper()
	to.SetReadDeadline(time.Now().Add(Silence))
	b := make([]byte, 1<<16)
	if l, _, err := to.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("received %q, %v", b[:l], err)
	}
}

// Echo listens at a TCP address, and answers every line with itself.
func Echo(t *testing.T, n *lab.Net, address string) {
	t.Helper()
	l, err := n.Listen("tcp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					c.Write([]byte(line))
				}
			}()
		}
	}()
}

// Ask sends a line to a TCP address and returns the answer, without its end, or
// an error when wait has passed.
func Ask(n *lab.Net, address, line string, wait time.Duration) (string, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", address, wait)
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	answer := bufio.NewScanner(c)
	answer.Scan()
	return answer.Text(), answer.Err()
}
