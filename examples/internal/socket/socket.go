//go:build linux

// Package socket hands a netfilter socket on to another process.
package socket

import (
	"cmp"
	"syscall"
)

// Dup returns another descriptor of a connection's socket, which stays open over
// execve.
func Dup(conn syscall.Conn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(own uintptr) { fd, failed = syscall.Dup(int(own)) })
	return fd, cmp.Or(err, failed)
}
