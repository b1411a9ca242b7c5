package engine

import (
	"errors"
	"fmt"
	"math"
)

// Config holds the options of Dial. Its fields are those of nfnl.Config, which
// describes them, so that one can be converted to the other.
type Config struct {
	NetNS      int
	ReadBuffer int
	Tap        func(sent bool, datagram []byte)
}

// maxReadBuffer is what fits an int when the kernel has doubled it
// (__sock_set_rcvbuf); a number beyond 32 bits it would take for a small one.
const maxReadBuffer = math.MaxInt32 / 2

// Check finds values that cannot be. The error begins with the field's name.
func (c Config) Check() error {
	switch {
	case c.NetNS < 0:
		return fmt.Errorf("NetNS is %d, not a file descriptor", c.NetNS)
	case c.ReadBuffer < 0 || c.ReadBuffer > maxReadBuffer:
		return fmt.Errorf("ReadBuffer is %d, not between 0 and %d", c.ReadBuffer, maxReadBuffer)
	}
	return nil
}

// CheckOpen finds values of c that a socket opened with old cannot take any more:
// those that are neither old's nor zero. The error begins with the field's name.
func (c Config) CheckOpen(old Config) error {
	switch {
	case c.NetNS != 0 && c.NetNS != old.NetNS:
		return fmt.Errorf("NetNS is %d, but an open socket stays in its namespace: open another", c.NetNS)
	case c.ReadBuffer != 0 && c.ReadBuffer != old.ReadBuffer:
		return fmt.Errorf("ReadBuffer is %d, but the socket was opened with %d, which cannot change: open another", c.ReadBuffer, old.ReadBuffer)
	case c.Tap != nil && old.Tap == nil: // two functions cannot be compared
		//lint:ignore ST1005 it begins with the name of the field
		return errors.New("Tap is set, but the socket was opened without one: open another")
	}
	return nil
}
