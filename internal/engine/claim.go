package engine

import (
	"errors"
	"net"
)

// errClaimed is what Claim says the second time.
var errClaimed = errors.New("the Conn is in use by another Queue or Reader: give each a Conn of its own")

// Claim says that the caller is who receives from c: whatever comes goes to
// one reader, and what that does not expect is lost to the others. It returns an
// error if somebody has c already, and net.ErrClosed if it is closed. OpenConn of
// nfqueue and nflog calls it before it asks the kernel anything.
func (c *Conn) Claim() error {
	switch {
	case c.isClosed():
		return net.ErrClosed
	case !c.claimed.CompareAndSwap(false, true):
		return errClaimed
	}
	return nil
}

// Unclaim takes a Claim back, so that somebody else can have c, and LoseUnread.
func (c *Conn) Unclaim() {
	if !c.never() {
		c.lossy.Store(false)
		c.claimed.Store(false)
	}
}
