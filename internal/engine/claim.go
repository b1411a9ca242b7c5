package engine

import (
	"errors"
	"net"
)

// errClaimed is the error of a second Claim.
var errClaimed = errors.New("the Conn is in use by another Queue or Reader: give each a Conn of its own")

// Claim makes the caller the only one that receives from c, because each message is
// delivered to one reader, and a reader drops those that it does not expect. It
// returns an error if c is claimed already, and net.ErrClosed if c is closed. OpenConn
// of nfqueue and nflog calls it before it sends any request.
func (c *Conn) Claim() error {
	switch {
	case c.isClosed():
		return net.ErrClosed
	case !c.claimed.CompareAndSwap(false, true):
		return errClaimed
	}
	return nil
}

// Unclaim undoes Claim and LoseUnread, so that another can claim c.
func (c *Conn) Unclaim() {
	if !c.never() {
		c.lossy.Store(false)
		c.claimed.Store(false)
	}
}
