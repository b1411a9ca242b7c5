package nfqueue

import (
	"fmt"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Config is the number of a queue and the options for opening it. The zero value of
// every field selects a default. Linux 5.10 and later support all fields, except that
// Conntrack, ConntrackVerdicts and SecurityContext depend on build options of the
// kernel.
type Config struct {
	// Queue is the number of the queue in the rule, as in "queue to 7" (nft) or
	// "--queue-num 7" (iptables).
	Queue uint16

	// CopyRange is the maximum number of bytes of a packet to deliver, from the
	// network header on. 0 and values above 65531 mean 65531. A small CopyRange is
	// faster, and more packets fit into the receive buffer. A packet that was
	// truncated cannot be rewritten.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// MaxLen is the maximum number of packets that wait for a verdict in the kernel.
	// Further packets are dropped, or accepted with FailOpen. 0 means 65,536, the most
	// that kernels from 7.0 on (and some before, see docs/kernels.md) can hold.
	//
	// With the default Socket.ReadBuffer the receive buffer is full before the default
	// MaxLen is reached, and Stats.Lost counts the packets. Packets that are dropped
	// because a lower MaxLen is reached are counted in Stats.Full, if
	// /proc/net/netfilter can be read. With FailOpen the kernel accepts these packets,
	// and nothing counts them.
	MaxLen uint32

	// FailOpen makes the kernel accept, not drop, packets when the queue or the receive
	// buffer is full. While no program has the queue open it has no effect, and the
	// bypass flag of the rule decides.
	FailOpen bool

	// Segment makes the kernel segment large (GSO) packets and compute their checksums
	// before it queues them. The program then gets each segment as a packet, so there
	// are many more packets. Without it GSO packets are up to 64 KiB long; see
	// Packet.GSO. A long UDP datagram without GSO is queued whole in either case: the
	// kernel makes IP fragments of it later.
	//
	// A program that rewrites UDP needs Segment if senders use UDP GSO, but some
	// kernels lose packets with it. docs/recipes.md describes when to set it, and
	// docs/kernels.md which kernels lose packets.
	Segment bool

	// Conntrack sets Packet.Conntrack and Packet.ConntrackInfo, Owner sets
	// Packet.HasOwner, UID and GID, and SecurityContext sets Packet.SecurityContext.
	//
	// Open fails if the kernel was built without NETFILTER_NETLINK_GLUE_CT (for
	// Conntrack) or NETWORK_SECMARK (for SecurityContext); see BestEffort. The kernel
	// tracks connections only in a network namespace with a rule that needs it, such
	// as "ct state invalid drop" or NAT, and not those that a "notrack" rule exempts.
	// All other packets are untracked.
	Conntrack, Owner, SecurityContext bool

	// ConntrackVerdicts permits verdicts that change connections, such as
	// WithConntrackMark, without the cost of Conntrack for every packet. Without
	// Conntrack it is not known which packets have a connection, and changes on those
	// without one are lost. Open fails if the kernel cannot change connections.
	ConntrackVerdicts bool

	// BestEffort makes Open succeed without Conntrack, ConntrackVerdicts and
	// SecurityContext if the kernel does not support them; Queue.Granted returns which
	// are in effect. A change of the connection that a verdict cannot make, because the
	// kernel does not support it or the packet has no connection or helper, is omitted.
	// The rest of the verdict is carried out, and OnError gets ErrUntracked or
	// ErrNoHelper. Without BestEffort such a packet gets Fallback.
	BestEffort bool

	// MaxHeld and MaxHeldBytes limit the number of held packets and their total length
	// in bytes. A packet above a limit gets Fallback, and OnError gets ErrTooManyHeld.
	// A MaxHeld of 0 means half of MaxLen, at most 8192, so that the queue has room
	// for packets that are not held. A MaxHeldBytes of 0 means 32 MiB. With
	// MetadataOnly each packet counts as 64 KiB, because its length is not known.
	MaxHeld, MaxHeldBytes int

	// Flags are additional bits of NFQA_CFG_FLAGS, for flags newer than this package.
	// Open refuses bits that other fields of Config set.
	Flags uint32

	// Fallback is the verdict on a packet that could not be parsed, whose handler
	// panicked, or whose verdict was refused. It may have a mark and a priority, but no
	// other change, and cannot be Hold. Open refuses Repeat without a mark, and the
	// ruleset must not queue packets with that mark again. Open also refuses Requeue to
	// the queue itself. The zero Fallback drops the packet.
	Fallback Verdict

	// FlushAfter is how long a verdict may wait to be sent while the handler decides on
	// later packets of the same batch. 0 means 100 µs for a handler that was slow
	// lately, and otherwise up to 32 ms. A value above 0 sets a timer for each batch,
	// which costs processor time.
	FlushAfter time.Duration

	// BusyPoll is how long to poll the socket before blocking, as SO_BUSY_POLL does.
	// Open refuses values above 10 ms. 0 disables it. It reduces the latency of single
	// packets, and needs an idle processor for each concurrent Run and for each queue
	// of OpenRange. On a busy machine it increases latency. 50 µs cover a round trip
	// between two local programs.
	BusyPoll time.Duration

	// Batch is the maximum number of packets received, and of verdicts sent, by one
	// system call. Open refuses values above 256. 0 means 64.
	Batch int

	// RangeVerdicts sends one message for consecutive packets that get equal verdicts,
	// with at most a mark and a priority, instead of one for each. This is about 6 %
	// faster. It is used only if every older packet is known to have a verdict. The
	// kernel does not report which packets of a range it no longer had, so Stats.Gone
	// counts a range only if the kernel had none of its packets.
	RangeVerdicts bool

	// OnError is called with errors that do not end Run or Receive. They wrap an
	// *nfnl.OverrunError (packets were lost), nfnl.ErrMalformed, or a *PacketError (a
	// verdict was refused, or too late: ErrPacketGone; a hold expired: ErrExpired). Use
	// errors.Is and errors.As. An error common to several packets of a batch is
	// reported once, with their number. If OnError is nil the errors are only counted
	// in Stats.
	//
	// OnError may be called concurrently, by goroutines in Run and in any method that
	// receives or sends, and by timers: when held packets expire, and when packets were
	// dropped because the queue is full. It must not block, because verdicts and later
	// packets wait for it. A panic in OnError is treated like a panic in the handler,
	// except in the goroutine of a timer, where it ends the program.
	OnError func(error)

	// Socket sets the network namespace and the size of the receive buffer. For each
	// packet in the buffer the kernel keeps up to 64 KiB of memory, but accounts only
	// for 832 bytes and the bytes that CopyRange delivers. To limit that memory, the
	// default ReadBuffer depends on CopyRange: 450 KiB with MetadataOnly, 525 KiB for a
	// CopyRange of 128, 1.3 MiB for 1500, and 8 MiB for 13,213 or more. The kernel
	// doubles these numbers: 8 MiB hold about 20,000 small packets. See docs/memory.md
	// in the module's root.
	Socket nfnl.Config

	queues int // of the OpenRange, or 0
}

// The defaults.
const (
	defaultMaxLen       = 65536
	defaultMaxHeld      = 8192 // or half of MaxLen
	defaultMaxHeldBytes = 32 << 20
	defaultBatch        = 64
	defaultFlushAfter   = 100 * time.Microsecond
)

// maxBatch is how many verdicts one send may carry. Each that the kernel
// refuses is answered on the socket, so more of them could fill it.
const maxBatch = 256

// maxBusyPoll is the time after which Go's scheduler takes the processor away from a
// goroutine.
const maxBusyPoll = 10 * time.Millisecond

// The kernel charges the receive buffer for the message with a packet, the copied
// range included, but keeps the packet itself too, up to 64 KiB of it. The default
// buffer has room for at most mostWaiting such packets, 75 MiB. Requests may take half as
// many again off the socket, and one more time as many to find the answer after them
// (nfnl.Conn.Request).
const (
	leastCost     = 768 // of a message without payload; 832 on newer kernels
	mostWaiting   = 1200
	maxReadBuffer = 8 << 20
)

// readBuffer returns the size to ask for by default, in bytes. The kernel doubles
// it.
func (c Config) readBuffer() int {
	return int(min(mostWaiting*(leastCost+int64(c.CopyRange))/2, maxReadBuffer)) / c.shares()
}

// mostShares is the highest number of queues by which defaults are divided.
const mostShares = 8

// shares returns by what the defaults that bound memory are divided for one queue,
// because a stalled handler stalls all queues of an OpenRange.
func (c Config) shares() int { return min(max(c.queues, 1), mostShares) }

// metadataRoom is added to CopyRange for the other attributes of a packet, of
// which conntrack's and the security context are the longest.
const metadataRoom = 8 << 10

// withDefaults returns c with no zero left where zero means something else.
func (c Config) withDefaults() Config {
	if c.CopyRange == 0 && !c.MetadataOnly {
		c.CopyRange = maxCopyRange
	}
	c.CopyRange = min(c.CopyRange, maxCopyRange)
	if c.MaxLen == 0 {
		c.MaxLen = defaultMaxLen
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	if c.MaxHeld == 0 {
		c.MaxHeld = max(int(min(c.MaxLen/2, defaultMaxHeld))/c.shares(), 1)
	}
	if c.MaxHeldBytes == 0 {
		c.MaxHeldBytes = defaultMaxHeldBytes / c.shares()
	}
	if c.Socket.ReadBuffer == 0 {
		c.Socket.ReadBuffer = c.readBuffer()
	}
	return c
}

// check finds values that the kernel would refuse, or silently ignore.
func (c Config) check() error {
	switch {
	case c.MetadataOnly && c.CopyRange > 0:
		return fmt.Errorf("nfqueue: Config.CopyRange is %d, but Config.MetadataOnly asks for no bytes", c.CopyRange)
	case c.Flags&knownFlags != 0:
		return fmt.Errorf("nfqueue: Config.Flags is %#x: use FailOpen, Conntrack, Segment, Owner and SecurityContext for the bits in %#x",
			c.Flags, knownFlags)
	case c.Batch < 0 || c.Batch > maxBatch:
		return fmt.Errorf("nfqueue: Config.Batch is %d, not between 0 and %d", c.Batch, maxBatch)
	case c.MaxHeld < 0:
		return fmt.Errorf("nfqueue: Config.MaxHeld is %d, below 0", c.MaxHeld)
	case c.MaxHeldBytes < 0:
		return fmt.Errorf("nfqueue: Config.MaxHeldBytes is %d, below 0", c.MaxHeldBytes)
	case c.FlushAfter < 0:
		return fmt.Errorf("nfqueue: Config.FlushAfter is %v, below 0", c.FlushAfter)
	case c.BusyPoll < 0 || c.BusyPoll > maxBusyPoll:
		return fmt.Errorf("nfqueue: Config.BusyPoll is %v, not between 0 and %v", c.BusyPoll, maxBusyPoll)
	case c.Fallback.action == ActionHold:
		return fmt.Errorf("nfqueue: Config.Fallback is Hold, which leaves the packet without a verdict")
	case c.Fallback.action == ActionRepeat && !c.Fallback.has(changeMark):
		return fmt.Errorf("nfqueue: Config.Fallback is repeat without a mark, which would repeat the packet without end")
	case c.Fallback.action == ActionRequeue && c.Fallback.queue == c.Queue:
		return fmt.Errorf("nfqueue: Config.Fallback is %v, the queue itself, which would requeue the packet without end", c.Fallback)
	case c.Fallback.change&^(changeMark|changePriority) != 0:
		return fmt.Errorf("nfqueue: Config.Fallback is %v: it can have a mark and a priority, but no other change", c.Fallback)
	}
	if err := engine.Config(c.Socket).Check(); err != nil {
		return fmt.Errorf("nfqueue: Config.Socket.%w", err)
	}
	return nil
}
