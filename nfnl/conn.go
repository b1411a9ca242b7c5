package nfnl

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// Config holds the options of Dial. The zero Config selects defaults.
type Config struct {
	// NetNS is a file descriptor of the network namespace in which to open the socket.
	// 0 means the namespace of the calling thread. The descriptor remains the caller's,
	// and can be closed once the socket is open. Opening a socket in another namespace
	// needs CAP_SYS_ADMIN over that namespace and over the program's own.
	NetNS int

	// ReadBuffer is the requested size of the socket's receive buffer, in bytes, less
	// than 1 GiB. 0 means the default of nfqueue and nflog, or for Dial that of the
	// system. The kernel doubles the size, because it also accounts for its own
	// overhead. The doubled size is at least about 2 KiB. Without CAP_NET_ADMIN in the
	// initial user namespace the kernel limits the requested size to the sysctl
	// net.core.rmem_max. Granted.ReadBuffer of nfqueue and nflog, and the socket option
	// SO_RCVBUF, have the doubled size.
	ReadBuffer int

	// If Tap is not nil, it is called with each datagram before it is sent, and with
	// each received datagram before it is parsed. A datagram is one or more whole
	// messages of NETLINK_NETFILTER. The bytes are valid until Tap returns, and must
	// not be changed. Tap must not call methods that receive. It is called concurrently
	// by the sending and receiving goroutines, and delays them. Datagrams whose send
	// fails are included. Requests by which Close or a deadline wakes a receiver are
	// not, but the answers to them are.
	Tap func(sent bool, datagram []byte)
}

// A Conn is an nfnetlink socket. All its methods are safe for concurrent use;
// concurrent calls of Receive need a Batch each. A nil or zero Conn behaves as a closed
// one.
type Conn engine.Conn

// Dial opens a socket to the kernel. It needs no privilege, but nearly every Request
// needs CAP_NET_ADMIN. On systems other than Linux the error matches
// errors.ErrUnsupported.
func Dial(cfg Config) (*Conn, error) {
	c, err := engine.Dial(engine.Config(cfg))
	return (*Conn)(c), err
}

// FileConn returns a Conn on a duplicate of the descriptor f, a netlink socket of the
// protocol NETLINK_NETFILTER. The socket may have been opened by another program, with
// more privilege or in another network namespace, and passed through a Unix socket or
// inherited across execve. The caller should close f. Queues and groups bound to the
// socket stay bound until its last descriptor is closed; OpenConn of nfqueue and nflog
// takes them over. FileConn returns an error if f is not such a socket.
//
// Receiving logged packets on the socket needs no privilege. Each verdict and each
// Request still needs CAP_NET_ADMIN over the socket's namespace.
//
// FileConn connects the socket to the kernel, puts it in blocking mode, and sets
// options, SO_RCVTIMEO among them. This also affects other programs that have the
// socket: without MSG_DONTWAIT they wait in a receive, and it fails with EAGAIN after
// some milliseconds without a packet. Only one program may receive from the socket at a
// time: the kernel delivers each packet only once, and a program that did not get it
// counts it as lost.
func FileConn(f *os.File) (*Conn, error) {
	c, err := engine.FileConn(f)
	return (*Conn)(c), err
}

// engine returns what does the work.
func (c *Conn) engine() *engine.Conn { return (*engine.Conn)(c) }

// Request sends m and returns the kernel's answer: nil, or an *Error. It adds
// NLM_F_REQUEST and NLM_F_ACK to m's flags, and sets m's sequence number. It may be
// called while other goroutines receive, but not from the function passed to NewBatch.
// Packets that arrive before the answer are kept for the next Receive.
//
// The memory for kept packets is limited to about 1.6 times the size of the receive
// buffer. If there is no room for packets that precede the answer, Request waits for a
// call of Receive. It may wait before m is sent, or after. It gives up with an error if
// Receive is not called for five seconds or, if Receive has never been called, for one
// second. The error does not show whether m was sent; Request can be called again.
//
// Request sends m again if the answer is lost, so m must be idempotent.
func (c *Conn) Request(m Message) error { return c.engine().Request(engine.Message(m)) }

// Send sends msgs, one or more whole messages, in as few system calls as the socket's
// send buffer allows. It does not wait for answers: Receive delivers those, such as
// refusals. Before Send returns, the kernel has processed the messages that were sent,
// and accepted packets have continued on their path. Send does not retain msgs. If err
// is not nil, only the messages in msgs[:sent] were sent. Several goroutines may call
// Send concurrently.
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
// and passes their messages to the function passed to NewBatch. The error matches
// net.ErrClosed or os.ErrDeadlineExceeded, or is an error of the socket. Loss is not an
// error; see Drops.
func (c *Conn) Receive(b *Batch) error { return c.engine().Receive((*engine.Batch)(b)) }

// Drops returns the number of datagrams, including answers to requests, that the kernel
// dropped because the receive buffer was full.
func (c *Conn) Drops() uint32 { return c.engine().Drops() }

// SetReadDeadline makes Receive fail with os.ErrDeadlineExceeded after t, as for a
// net.Conn. A zero t clears the deadline.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.engine().SetReadDeadline(t) }

// SyscallConn returns a raw connection to the socket, for polling and for socket
// options that this package does not set. Do not read from it, write to it or attach a
// filter. It is in blocking mode, and so is a duplicate of it; leave O_NONBLOCK and
// SO_RCVTIMEO as they are.
//
// Close makes the descriptor readable, and then closes it. This wakes poll(2), but
// epoll(7) drops a closed descriptor. For epoll, register a duplicate (dup(2)), and
// close that as well.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.engine().SyscallConn() }

// Links returns a table of the interfaces in the socket's network namespace. It starts
// a goroutine, which runs until Links.Close; Conn.Close does not close it. It needs no
// privilege if the socket is in the program's network namespace, and otherwise
// CAP_NET_ADMIN and CAP_SYS_ADMIN. On Linux before 5.14 it also needs /proc.
func (c *Conn) Links() (*Links, error) {
	l, err := c.engine().Links()
	return (*Links)(l), err
}

// Close closes the socket. Its queues and groups are unbound, unless another descriptor
// of the socket is open (FileConn). Blocked calls return net.ErrClosed. Close is
// idempotent.
func (c *Conn) Close() error { return c.engine().Close() }
