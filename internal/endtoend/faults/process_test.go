//go:build linux

package faults

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// take3 holds queue 3 and group 3 until the test ends.
func take3() error {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3})
	if err != nil {
		return err
	}
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}})
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openAsStranger tries to open what belongs to another user namespace, and tells
// what came of it.
func openAsStranger() error {
	_, queue := nfqueue.Open(nfqueue.Config{Queue: 3})
	_, group := nflog.Open(nflog.Config{Groups: []uint16{3}})
	fmt.Printf("%v|%v\n", describe(queue, nfqueue.ErrTaken), describe(group, nflog.ErrTaken))
	return nil
}

// describe says what matters of an error, in one line.
func describe(err, taken error) string {
	return fmt.Sprintf("permission %v, taken %v: %s", errors.Is(err, os.ErrPermission), errors.Is(err, taken),
		strings.ReplaceAll(fmt.Sprint(err), "|", "/"))
}

// handOverSockets opens queue 3 and group 3, sends their sockets through
// descriptor 3 and ends.
func handOverSockets() error {
	var fds []int
	for _, bind := range []func() (nfnl.Message, error){
		nfqueue.Config{Queue: 3}.Bind,
		func() (nfnl.Message, error) { return nflog.Config{Threshold: 1}.Bind(3) },
	} {
		conn, err := nfnl.Dial(nfnl.Config{})
		if err != nil {
			return err
		}
		defer conn.Close()
		m, err := bind()
		if err == nil {
			err = conn.Request(m)
		}
		if err != nil {
			return err
		}
		raw, err := conn.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return err
		}
	}
	return unix.Sendmsg(3, []byte("sockets"), unix.UnixRights(fds...), nil, 0)
}

// receiveFiles receives the files that a helper sends through a Unix socket.
func receiveFiles(t *testing.T, from *net.UnixConn) (files []*os.File) {
	t.Helper()
	b, rights := make([]byte, 16), make([]byte, 64)
	_, n, _, _, err := from.ReadMsgUnix(b, rights)
	testkit.Must(t, err)
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	testkit.Must(t, err)
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		testkit.Must(t, err)
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "socket from a helper")
			t.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
	}
	return files
}

// unixPair returns a pair of Unix sockets, one of them to be given to a helper.
func unixPair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	testkit.Must(t, err)
	far, near := os.NewFile(uintptr(fds[1]), "helper's end"), os.NewFile(uintptr(fds[0]), "test's end")
	defer near.Close()
	t.Cleanup(func() { far.Close() })
	c, err := net.FileConn(near)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn), far
}
