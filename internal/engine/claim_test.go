package engine

import (
	"errors"
	"net"
	"testing"
)

func TestConnIsClaimedOnce(t *testing.T) {
	overTransports(t, func(k *kernel) {
		c := k.conn
		if err := c.Claim(); err != nil {
			k.Error(err)
		}
		if err := c.Claim(); err == nil || errors.Is(err, net.ErrClosed) {
			k.Errorf("the second time: %v", err)
		}
		c.Unclaim()
		if err := c.Claim(); err != nil {
			k.Errorf("after it was taken back: %v", err)
		}
		c.Close()
		if err := c.Claim(); !errors.Is(err, net.ErrClosed) {
			k.Errorf("closed: %v", err)
		}
	})
}
