// Package kernellist reads the kernel's lists of queues and log groups in
// /proc/net/netfilter, a line for each.
package kernellist

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"os"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// A List is the list of a socket's network namespace. It is opened with the
// socket, for later the program may have lost the right to. The zero List is
// closed.
type List struct {
	file *os.File
	err  error // why there is no file
}

// Open opens the list that is called name below /proc/net. Read returns what is
// wrong with it.
func Open(conn *engine.Conn, name string) (l List) {
	l.file, l.err = conn.OpenProc(name)
	return l
}

// Close closes the list.
func (l List) Close() {
	if l.file != nil {
		l.file.Close()
	}
}

// Read reads l as it is now. parse reads a line.
func Read[T any](l List, parse func(line []byte) (T, error)) ([]T, error) {
	if l.err != nil {
		return nil, l.err
	}
	if l.file == nil {
		return nil, net.ErrClosed
	}
	all, err := ReadFrom(io.NewSectionReader(l.file, 0, math.MaxInt64), parse)
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return all, err
}

// ReadFrom reads lines. With an error it returns those before.
func ReadFrom[T any](r io.Reader, parse func(line []byte) (T, error)) (all []T, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		v, err := parse(lines.Bytes())
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, lines.Err()
}
