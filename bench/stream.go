package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// stream measures what a TCP connection carries whose packets from the peer, of
// up to 64 KiB, wait for a verdict, or do not if the entry has no program.
func stream(h *harness, e entry) (sample, error) {
	port := barePort
	if e.program != "" {
		port = queuePort
	}
	return h.decideDuring(e, func() (sample, error) {
		return h.carry(h.site.peer, h.site.net, fmt.Sprintf("%s:%d", near.Addr(), port))
	})
}

// carry measures a connection between two namespaces.
func (h *harness) carry(from, to *lab.Net, address string) (s sample, err error) {
	l, err := to.Listen("tcp4", address)
	if err != nil {
		return s, err
	}
	defer l.Close()
	sent := make(chan error, 1)
	go func() { sent <- h.pour(from, address) }()
	began := time.Now()
	s.Bytes, err = swallow(l)
	s.WallNS = time.Since(began).Nanoseconds()
	return s, errors.Join(err, <-sent)
}

// pour connects and sends for as long as a stream is to last.
func (h *harness) pour(from *lab.Net, to string) error {
	c, err := from.Dial("tcp4", to)
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

// said adds to a program's exit status what it said last.
func said(err error) error {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
