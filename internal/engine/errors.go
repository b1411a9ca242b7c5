package engine

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrMalformed is wrapped by every error about a message that makes no sense.
var ErrMalformed = errors.New("malformed message")

// An Error is the kernel's refusal of a message. errors.Is finds the errno
// under it, and so os.ErrPermission and errors.ErrUnsupported.
type Error struct {
	Type   Type          // of the refused message
	Seq    uint32        // of the refused message
	Errno  syscall.Errno // why
	Text   string        // the kernel's explanation; often empty
	Offset uint32        // of the attribute that Text refers to, in bytes from the start of the message; 0 if none
}

// Error returns what the errno means, and the kernel's own words if there are any.
func (e *Error) Error() string {
	s := e.Errno.Error()
	if e.Errno == errNotSupp {
		s = "operation not supported by this kernel interface (ENOTSUPP)"
	}
	switch {
	case e.Text != "" && e.Offset != 0:
		s += fmt.Sprintf(" (%s, at byte %d)", e.Text, e.Offset)
	case e.Text != "":
		s += " (" + e.Text + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Is makes the kernel's ENOTSUPP, which the syscall package does not know,
// match errors.ErrUnsupported.
func (e *Error) Is(target error) bool {
	return e.Errno == errNotSupp && target == errors.ErrUnsupported
}

// A SendError has the reason why a message could not be sent, and the length of those
// sent before it. Later messages were not processed.
type SendError struct {
	Sent int // bytes, of whole messages
	Err  error
}

// Error returns the reason.
func (e *SendError) Error() string {
	switch {
	case e.Err == nil:
		return "not sent"
	case errors.Is(e.Err, syscall.EMSGSIZE):
		return fmt.Sprintf("the message does not fit the send buffer; raise net.core.wmem_max: %v", e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns the reason.
func (e *SendError) Unwrap() error { return e.Err }
