package refusal

import (
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Socket finds values of c that a socket opened with old cannot take any more:
// those that are neither old's nor zero. The error begins with the field's name.
func Socket(c, old nfnl.Config) error {
	switch {
	case c.NetNS != 0 && c.NetNS != old.NetNS:
		return fmt.Errorf("NetNS is %d, but an open socket stays in its namespace: open another", c.NetNS)
	case c.ReadBuffer != 0 && c.ReadBuffer != old.ReadBuffer:
		return fmt.Errorf("ReadBuffer is %d, but %d was asked for, and an open socket keeps that", c.ReadBuffer, old.ReadBuffer)
	case c.Tap != nil && old.Tap == nil: // two functions cannot be compared
		//lint:ignore ST1005 it begins with the name of the field
		return errors.New("Tap is set, but an open socket goes on without one: open another")
	}
	return nil
}
