package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// FileConn returns a Conn on a copy of f, a netlink socket of the netfilter
// protocol that somebody else has opened: a program with more privilege, or in
// another network namespace, that hands it over through a Unix socket or at
// execve. f remains the caller's, who should close it. Queues and groups bound
// to the socket stay so until its last copy is closed; OpenConn takes them over.
//
// To read logs from it needs no privilege. Verdicts and requests need
// CAP_NET_ADMIN over the socket's namespace all the same, each time.
func FileConn(f *os.File) (*Conn, error) {
	if f == nil { // as os.NewFile returns it for what is no descriptor
		return nil, fmt.Errorf("nfnl: use a nil file as a netfilter socket: %w", os.ErrInvalid)
	}
	t, portID, err := fileSocket(f)
	if err != nil {
		return nil, fmt.Errorf("nfnl: use %s as a netfilter socket: %w", f.Name(), err)
	}
	c := newConn(t)
	c.portID = portID
	// The answers to requests of who had the socket before may be on it, unread. They
	// are not to be taken for answers to ours, and those count from 1 on too.
	c.seq.Store(rand.Uint32())
	return c, nil
}
