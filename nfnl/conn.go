package nfnl

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// Config holds the options of Dial. The zero Config is ready to use.
type Config struct {
	// NetNS is the file descriptor of the network namespace to open the socket
	// in. Opening it needs CAP_SYS_ADMIN over both that namespace and the
	// program's own. 0 is the namespace of the calling thread.
	NetNS int

	// ReadBuffer is the size to ask for the socket's receive buffer, in bytes,
	// less than 1 GiB; the kernel doubles it for its own bookkeeping, and rounds
	// up what is below some 2 KiB then. Without CAP_NET_ADMIN in
	// the initial user namespace the kernel caps it at the sysctl
	// net.core.rmem_max. 0 lets nfqueue and nflog choose, and is the system's
	// default in Dial. What was granted is in Granted of both, and in the socket
	// option SO_RCVBUF.
	ReadBuffer int

	// If Tap is not nil, it is called with each datagram before it is sent, and with
	// each received datagram before it is parsed. A datagram has one or more whole
	// messages of NETLINK_NETFILTER. The bytes are valid until Tap returns, and must
	// not be changed. Tap is called concurrently by the sending and receiving
	// goroutines, and delays them. Datagrams whose send fails are included.
	Tap func(sent bool, datagram []byte)
}

// A Conn is an nfnetlink socket. Its methods may be called from any goroutine
// at any time; concurrent calls of Receive each need a Batch of their own. Nil
// and the zero Conn are closed ones.
type Conn engine.Conn

// Dial opens a socket to the kernel. It needs no privilege, but nearly every
// Request does. Off Linux the error matches errors.ErrUnsupported.
func Dial(cfg Config) (*Conn, error) {
	c, err := engine.Dial(engine.Config(cfg))
	return (*Conn)(c), err
}

// FileConn returns a Conn on a copy of f, a netlink socket of the netfilter
// protocol that somebody else has opened: a program with more privilege, or in
// another network namespace, that hands it over through a Unix socket or at
// execve. f remains the caller's, who should close it. Queues and groups bound
// to the socket stay so until its last copy is closed; OpenConn of nfqueue and nflog
// takes them over.
//
// Reading logs from it needs no privilege. Each verdict and request still needs
// CAP_NET_ADMIN over the socket's namespace.
func FileConn(f *os.File) (*Conn, error) {
	c, err := engine.FileConn(f)
	return (*Conn)(c), err
}

// engine returns what does the work.
func (c *Conn) engine() *engine.Conn { return (*engine.Conn)(c) }

// Request sends m and returns the kernel's answer: nil, or an *Error. It sets
// m's flags and sequence number. It may be called from anywhere but the function
// given to NewBatch, also beside a goroutine that receives: packets that come before
// the answer are kept for the next Receive.
//
// Request sends m once kept packets and those in the receive buffer together take at
// most 1.5 times the size of the buffer. Above that it waits for a Receive, for five
// seconds if Receive was called before and one second otherwise, then returns an error.
// The same happens after m was sent if packets arrive so fast that the answer is behind
// more of them than can be kept, about 1.6 times the size of the buffer. The caller
// cannot distinguish these cases, but can repeat the Request.
//
// Request itself sends m again if the answer is lost, so m must be idempotent.
func (c *Conn) Request(m Message) error { return c.engine().Request(engine.Message(m)) }

// Send sends whole messages, without waiting for answers, in as few system calls as
// the socket's send buffer allows. When Send returns, the kernel has processed all
// messages, including the further traversal of accepted packets. Refusals are delivered
// by Receive. If err is not nil, messages after the first sent bytes were not sent.
// Several goroutines may call Send concurrently.
func (c *Conn) Send(msgs []byte) (sent int, err error) {
	err = c.engine().Send(msgs)
	if at := (*engine.SendError)(nil); errors.As(err, &at) {
		return at.Sent, err
	}
	if err != nil {
		return 0, err
	}
	return len(msgs), nil
}

// Receive waits until the kernel has sent something, fills b with the pending datagrams
// and passes their messages to the function of NewBatch. The error is net.ErrClosed,
// os.ErrDeadlineExceeded or one of the socket. Loss is not an error: see Drops.
func (c *Conn) Receive(b *Batch) error { return c.engine().Receive((*engine.Batch)(b)) }

// Drops returns how many datagrams the kernel dropped because the receive buffer was
// full. Answers to requests are counted too.
func (c *Conn) Drops() uint32 { return c.engine().Drops() }

// SetReadDeadline is net.Conn's: from t on, Receive fails with
// os.ErrDeadlineExceeded. The zero t takes that back.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.engine().SetReadDeadline(t) }

// SyscallConn gives access to the descriptor, for options this package does
// not know. Do not read, write or filter packets through it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.engine().SyscallConn() }

// Links returns a table of the interfaces in the socket's network namespace. It
// runs a goroutine until Close. It needs no privilege, but CAP_NET_ADMIN and
// CAP_SYS_ADMIN where the socket is in another namespace than the program. On
// Linux before 5.14 it also needs /proc there.
func (c *Conn) Links() (*Links, error) {
	l, err := c.engine().Links()
	return (*Links)(l), err
}

// Close closes the socket, which unbinds its queues and groups. Blocked calls return
// net.ErrClosed. Closing again does nothing.
func (c *Conn) Close() error { return c.engine().Close() }
