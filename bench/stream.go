package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// stream measures what a TCP connection carries whose packets from the peer, of
// up to 64 KiB, wait for a verdict, or do not if the entry has no program.
func stream(h *harness, e entry) (s sample, err error) {
	port := barePort
	if e.program != "" {
		port = queuePort
		p, err := launch(append([]string{h.path(e.program)}, e.args...)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := p.release(); err != nil {
			return s, err
		}
	}
	l, err := h.site.net.Listen("tcp4", fmt.Sprintf("%s:%d", near.Addr(), port))
	if err != nil {
		return s, err
	}
	defer l.Close()
	sent := make(chan error, 1)
	go func() { sent <- h.pour(l.Addr().String()) }()
	began := time.Now()
	s.Bytes, err = swallow(l)
	s.WallNS = time.Since(began).Nanoseconds()
	return s, errors.Join(err, <-sent)
}

// pour connects from the peer and sends for as long as a stream is to last.
func (h *harness) pour(to string) error {
	c, err := h.site.peer.Dial("tcp4", to)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(h.scale.stream)); err != nil {
		return err
	}
	water := make([]byte, 1<<20)
	for err == nil {
		_, err = c.Write(water)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// swallow accepts a connection and returns how many bytes came.
func swallow(l net.Listener) (int64, error) {
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(processLimit)); err != nil {
		return 0, err
	}
	return io.Copy(struct{ io.Writer }{io.Discard}, c)
}
