package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// FileConn returns a Conn on a copy of f; see nfnl.FileConn.
//
// Reading logs needs no privilege. Each verdict and each request needs CAP_NET_ADMIN
// over the socket's namespace.
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
	// Unread answers to requests of a previous program may be on the socket. They
	// must not be taken for answers to our requests, although its sequence numbers
	// begin at 1 too.
	c.seq.Store(rand.Uint32())
	return c, nil
}
