package nflog

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/format"
	"github.com/nfpacket/nfpacket/internal/kernellist"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Reader reads one or more log groups. All its methods are safe for concurrent use;
// the body of a loop over Packets may call all but Shutdown. A nil or zero Reader
// behaves as a closed one; use Open to obtain a Reader.
type Reader struct {
	conn        *engine.Conn
	configuring sync.Mutex             // one request at a time, and none once Shutdown has begun
	given       atomic.Pointer[Config] // by the program
	config      atomic.Pointer[Config] // as granted, with defaults; replaced, never changed
	groups      []group
	index       map[uint16]*group // of groups, by number
	list        kernellist.List   // of the kernel, for KernelStats
	bytes       atomic.Uint64
	malformed   atomic.Uint64
	discarded   atomic.Uint64
	handedOver  bool // AdoptConn was called: another process has bound the groups

	last *group // of the last packet received; guarded by the Conn, like a group's numbers

	closed   atomic.Bool   // by Close
	shutting atomic.Bool   // Shutdown was called
	stopping atomic.Bool   // set by Shutdown: no more packets arrive on the socket
	batches  atomic.Bool   // Receive or TryReceive was called, and is expected again
	users    atomic.Int32  // loops, and calls of Receive and TryReceive
	ended    chan struct{} // closed by Close
	quiet    chan struct{} // has an element when the last of the users has left

	fetching sync.Mutex // held to receive while stopping is set

	mu   sync.Mutex // guards what follows; never held while a loop's body or OnError runs
	left []*buffer  // with packets that loops have not yielded
	idle []*buffer  // for later loops
}

// cfg returns the configuration in force.
func (r *Reader) cfg() *Config {
	if c := r.config.Load(); c != nil {
		return c
	}
	return &noConfig
}

// noConfig is that of the zero Reader.
var noConfig Config

// closedReader stands for a nil Reader, as Open returns it with an error.
var closedReader Reader

// orClosed returns r, or what stands for it if it is nil.
func (r *Reader) orClosed() *Reader {
	if r == nil {
		return &closedReader
	}
	return r
}

// Open opens and binds the groups. It needs CAP_NET_ADMIN over the network namespace.
//
// An invalid field of cfg is refused with an error that names the field, before the
// kernel is asked. Without the privilege the error matches os.ErrPermission. If another
// socket has one of the groups, it matches ErrTaken.
func Open(cfg Config) (*Reader, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conn, err := engine.Dial(engine.Config(cfg.withDefaults().Socket))
	if err != nil {
		return nil, fmt.Errorf("nflog: open group %d: %w", cfg.Groups[0], err)
	}
	r, err := openConn(conn, cfg, bindAll)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

// OpenConn is like Open, but uses conn; Config.Socket is ignored. The Reader owns conn
// and closes it, unless OpenConn returns an error. A connection can be used by one
// Reader or one nfqueue.Queue; one that is in use is refused. Groups that are already
// bound to the socket are configured with cfg, which needs the same privilege as Open;
// AdoptConn needs none.
func OpenConn(conn *nfnl.Conn, cfg Config) (*Reader, error) {
	return openConn((*engine.Conn)(conn), cfg, bindAll)
}

// bindAll binds all groups.
func bindAll(r *Reader, cfg Config) error { return r.configure(cfg, r.bind) }

// openConn returns a Reader whose groups open binds, or finds bound.
func openConn(conn *engine.Conn, cfg Config, open func(*Reader, Config) error) (*Reader, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Groups = slices.Clone(cfg.Groups) // the others are the caller's
	groups, index, err := groupTable(cfg.Groups)
	if err != nil {
		return nil, err
	}
	if err := conn.Claim(); err != nil {
		return nil, fmt.Errorf("nflog: open group %d: %w", cfg.Groups[0], err)
	}
	conn.LoseUnread()
	r := &Reader{conn: conn, groups: groups, index: index, last: &groups[0],
		ended: make(chan struct{}), quiet: make(chan struct{}, 1)}
	r.given.Store(&cfg)
	if err := open(r, cfg); err != nil {
		conn.Unclaim()
		return nil, format.Wrap("nflog: open ", err)
	}
	r.list = kernellist.Open(conn, kernelGroups)
	return r, nil
}

// SetReadDeadline makes Receive and loops over Packets fail with
// os.ErrDeadlineExceeded after t. A zero t clears the deadline.
func (r *Reader) SetReadDeadline(t time.Time) error {
	r = r.orClosed()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping.Load() {
		return nil // nothing waits any more, and Shutdown uses it for that
	}
	return r.wrap(r.conn.SetReadDeadline(t))
}

// SyscallConn returns a raw connection to the socket; see nfnl.Conn.SyscallConn.
func (r *Reader) SyscallConn() (syscall.RawConn, error) {
	r = r.orClosed()
	raw, err := r.conn.SyscallConn()
	return raw, r.wrap(err)
}

// Close closes the socket. Blocked calls return net.ErrClosed. The kernel unbinds the
// groups, unless another descriptor of the socket is open (nfnl.FileConn). Packets
// collected by the kernel, in the receive buffer, or left by a loop over Packets are
// lost; use Shutdown to receive them. Close is idempotent.
//
// Close in the body of a loop also discards the packets that were received with the
// current one: the loop ends with net.ErrClosed. Stats.Discarded counts the discarded
// packets that had been received.
func (r *Reader) Close() error {
	r = r.orClosed()
	if r.closed.Swap(true) || r.ended == nil {
		return nil
	}
	close(r.ended)
	r.list.Close()
	err := r.conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.left {
		r.discard(b)
	}
	r.left, r.idle = nil, nil
	return err
}

// wrap names the groups in err.
func (r *Reader) wrap(err error) error {
	if err == nil {
		return nil
	}
	if len(r.groups) == 0 {
		return fmt.Errorf("nflog: %w", err)
	}
	who := fmt.Sprintf("nflog %d", r.groups[0].number)
	if more := len(r.groups) - 1; more > 0 {
		who = fmt.Sprintf("%s and %d more", who, more)
	}
	return format.Wrap(who+": ", err)
}

// Links returns a table of the interfaces in the network namespace of the Reader, for
// Packet.Named. It starts a goroutine, which runs until Links.Close. Reader.Close does
// not close it. See nfnl.Conn.Links for the privilege it needs.
func (r *Reader) Links() (*nfnl.Links, error) {
	r = r.orClosed()
	l, err := r.conn.Links()
	return (*nfnl.Links)(l), r.wrap(err)
}
