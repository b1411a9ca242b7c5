package nflog

import (
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/nfnl"
)

// ErrTaken is why Open fails when another socket has the group. Such an error
// also matches os.ErrPermission, for that is how the kernel says it.
var ErrTaken = errors.New("another socket has it: stop that program, or use another number here and in the rule")

var errNoHeader = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)
