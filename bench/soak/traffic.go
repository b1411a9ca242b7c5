package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// addresses are where datagrams go to: they fall into different queues.
var addresses = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"}

// send sends datagrams of all sizes from many ports until ctx is done: as many
// as are decided on, but for two seconds of every twenty without mercy.
func (s *site) send(ctx context.Context, address string) {
	for began := time.Now(); ctx.Err() == nil; {
		s.fail(s.burst(address, 2048))
		merciless := time.Since(began)%(20*time.Second) < 2*time.Second
		for !merciless && s.waiting() > 2048 && ctx.Err() == nil {
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// burst sends n datagrams from a new port.
func (s *site) burst(address string, n int) error {
	c, err := s.net.Dial("udp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer c.Close()
	var datagram [9000]byte
	for range n {
		size := 16 << rand.IntN(7) // 16 to 1024
		if rand.IntN(64) == 0 {
			size = len(datagram)
		}
		if _, err := c.Write(datagram[:size]); err != nil {
			return err
		}
	}
	return nil
}

// waiting returns how many packets are without a verdict.
func (s *site) waiting() (n int) {
	for i := range s.queues.Len() {
		k, err := s.queues.Queue(i).KernelStats()
		s.fail(err)
		n = max(n, int(k.Waiting))
	}
	return n
}

// last sends a few datagrams more, from so many ports that each queue gets some:
// they tell what was lost before.
func (s *site) last(address string) error {
	for range 16 {
		if err := s.burst(address, 1); err != nil {
			return err
		}
	}
	return nil
}

// connect makes one TCP connection after the other.
func (s *site) connect(ctx context.Context) {
	for ctx.Err() == nil {
		s.fail(s.transfer())
		s.connections.Add(1)
		time.Sleep(20 * time.Millisecond)
	}
}

// transfer sends a megabyte over a connection whose packets are queued.
func (s *site) transfer() error {
	const size = 1 << 20
	c, err := s.net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		return fmt.Errorf("TCP: %w", err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	var got [1]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return fmt.Errorf("TCP, for the answer: %w", err)
	}
	return nil
}

// serve reads connections to their end and answers each with a byte.
func (s *site) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // it was closed
		}
		_, err = io.Copy(io.Discard, c)
		s.fail(err)
		_, err = c.Write([]byte{1})
		s.fail(err)
		c.Close()
	}
}
