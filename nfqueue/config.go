package nfqueue

import (
	"fmt"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Config says which queue to open and how. Every zero field is a sensible
// default. Linux 5.10 and later have all of it, but for what Conntrack,
// ConntrackVerdicts and SecurityContext need them to be built with.
type Config struct {
	// Queue is the number in the rule, as in "queue num 7".
	Queue uint16

	// CopyRange is how many bytes of a packet to deliver, from the network
	// header on. 0, and what is above 65531, means as much as there is, up to
	// 65531. Lowering it is the most effective tuning: of speed, and of how many
	// packets the receive buffer holds. A packet that it truncated cannot be
	// rewritten.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// MaxLen is how many packets the kernel holds for a verdict before it drops
	// new ones, or lets them through if FailOpen is set. 0 means 65,536, as many as
	// kernels hold that find packets by hash, from 7.0 on and some before. With
	// the default of Socket.ReadBuffer that is more than ever wait: packets that
	// come too fast find no room in the receive buffer first, and are in Stats.Lost.
	// Those that a lower MaxLen keeps out have no ID: they are in Stats.Full, but
	// only where /proc/net/netfilter can be read, and with FailOpen nowhere.
	MaxLen uint32

	// FailOpen makes the kernel accept, not drop, what does not fit the queue
	// or the socket. It does not cover a program that is not there: for that
	// the rule needs the bypass flag.
	FailOpen bool

	// Segment makes the kernel cut large (GSO) packets and complete checksums
	// before it delivers them, so that each is as long as the device sends, at the
	// price of many more packets. By default they come whole; see Packet.GSO. IP
	// fragments are made later all the same. docs/recipes.md says when to set it.
	// A program that rewrites UDP needs Segment if senders use UDP GSO; but some
	// kernels lose packets then: see docs/kernels.md in the module's root.
	Segment bool

	// Conntrack asks for Packet.Conntrack and ConntrackInfo, Owner for HasOwner,
	// UID and GID, SecurityContext for the field of that name. The kernel tracks
	// connections only in a network namespace with a rule that asks for them, such
	// as "ct state invalid drop"; without one every packet is untracked. The kernel needs to
	// be built for the first (NETFILTER_NETLINK_GLUE_CT) and the last
	// (NETWORK_SECMARK); Open fails where it is not. The kernel tracks connections
	// only in network namespaces with a rule that needs it, such as "ct state new"
	// or NAT, and not for packets that a rule says "notrack" of: without such a rule
	// no packet has a connection.
	Conntrack, Owner, SecurityContext bool

	// ConntrackVerdicts is required for verdicts that change connections
	// (WithConntrackMark and the like) unless Conntrack is set, which costs more: it
	// is for every packet. With Conntrack it is also known which packets have no
	// connection to be changed. Open fails where the kernel cannot change any.
	ConntrackVerdicts bool

	// With BestEffort, Open falls back to doing without Conntrack,
	// ConntrackVerdicts and SecurityContext if the kernel lacks support; see
	// Queue.Granted. A change of a connection that cannot be made, for want of that
	// support, of a connection or of its helper, is left out of the verdict, the rest
	// of which is carried out; OnError gets ErrUntracked or ErrNoHelper. Without
	// BestEffort such a packet gets Fallback.
	BestEffort bool

	// MaxHeld and MaxHeldBytes are how many packets may be held at a time, and
	// how many bytes of them; what comes after that gets Fallback, and OnError
	// gets ErrTooManyHeld. A MaxHeld of 0 means half of MaxLen, at most 8192, so
	// that the queue always has room for packets that nobody holds. A MaxHeldBytes
	// of 0 means 32 MiB. With MetadataOnly the length of a packet is not known: each
	// counts as 64 KiB.
	MaxHeld, MaxHeldBytes int

	// Flags are bits of NFQA_CFG_FLAGS that are newer than this package. Those
	// it knows have fields of their own and are refused here.
	Flags uint32

	// Fallback is the verdict used when the handler gives no usable one: for a
	// packet that could not be parsed, whose handler panicked, or whose verdict was
	// refused. It may have a mark or a priority but no payload, no change of the
	// link layer, and cannot be Hold. It must not loop: Repeat requires a mark, which
	// a rule before the queue rule has to let through, and Requeue must name another
	// queue. The zero Fallback drops.
	Fallback Verdict

	// FlushAfter is how long a verdict may wait for the handler to decide on the
	// other packets that came in the same batch. 0 means 100 µs for a handler that
	// was slow lately, and up to 4 ms for one that was not: it saves the timer.
	FlushAfter time.Duration

	// BusyPoll is how long to spin on the socket before blocking, like
	// SO_BUSY_POLL, at most 10 ms; 0 disables it. It saves the time that waking up
	// takes, if packets come one by one. On a busy machine it delays the packet's
	// receiver: measure. Some 50 µs cover a round trip between two programs. Each
	// concurrent Run spins, with OpenRange each queue's, so budget a processor for
	// each.
	BusyPoll time.Duration

	// Batch is how many packets one system call may deliver, and how many
	// verdicts one may return, at most 256. 0 means 64.
	Batch int

	// RangeVerdicts answers packets in a row that get equal verdicts, with at most
	// a mark and a priority, by one message for all up to the last of them, which is
	// faster by some 6 %. The kernel does not report which packets of a range
	// were gone: those are counted only where all of it were. A range is used only
	// where every older packet is known to be answered. By default each packet has a
	// message of its own.
	RangeVerdicts bool

	// OnError gets what does not end Run or Receive: lost packets
	// (*nfnl.OverrunError), malformed messages, and as *PacketError what concerns
	// single packets: verdicts that came too late (ErrPacketGone) or were refused,
	// and holds that expired (ErrExpired). What happens to many packets that came
	// together is reported once, with their number. OnError may be
	// called concurrently: by a goroutine in Run or Receive, before the verdicts of a
	// batch are sent, and by a timer's when held packets expire. It must not block:
	// the packets behind wait. A panic in OnError is treated like a panic in the
	// handler, except in the timer's goroutine, where it ends the program. Nil
	// ignores the errors; Stats counts them all the same.
	OnError func(error)

	// Socket sets the network namespace and the receive buffer. While a packet of
	// up to 64 KiB waits there, the kernel keeps all of it, but charges the buffer
	// only with 832 bytes and what CopyRange delivers. A ReadBuffer of 0 therefore
	// asks for 8 MiB, which is room for 20,000 small packets, or with a CopyRange
	// below 13,213 for less: 450 KiB with MetadataOnly, 525 KiB with 128 bytes, and
	// 1.3 MiB with 1500. See docs/memory.md in the module's root.
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

// maxBusyPoll is after what time Go's scheduler takes a processor away from who
// uses it.
const maxBusyPoll = 10 * time.Millisecond

// The kernel charges the receive buffer for the message with a packet, the copied
// range included, but keeps the packet itself too, up to 64 KiB of it. The default
// buffer has room for at most mostWaiting such packets, 75 MiB. Requests may take half as
// many again off the socket, and one more time as many to find an answer behind them
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

// mostShares is between how many queues the defaults are shared out at most.
const mostShares = 8

// shares returns what part of the defaults that bound memory one queue has: a
// stalled handler stalls all queues of an OpenRange.
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
		return fmt.Errorf("nfqueue: Config.Fallback is Hold, which leaves the packet without an answer")
	case c.Fallback.action == ActionRepeat && !c.Fallback.has(changeMark):
		return fmt.Errorf("nfqueue: Config.Fallback is repeat without a mark, which brings the packet back again and again")
	case c.Fallback.action == ActionRequeue && c.Fallback.queue == c.Queue:
		return fmt.Errorf("nfqueue: Config.Fallback is %v, the queue itself, which brings the packet back again and again", c.Fallback)
	case c.Fallback.change&^(changeMark|changePriority) != 0:
		return fmt.Errorf("nfqueue: Config.Fallback is %v, which does not fit every packet", c.Fallback)
	}
	if err := c.Socket.Check(); err != nil {
		return fmt.Errorf("nfqueue: Config.Socket.%w", err)
	}
	return nil
}

// flags returns the flags to set; all others that this package knows are
// cleared.
func (c Config) flags() uint32 {
	f := c.Flags
	for _, o := range []struct {
		on   bool
		flag uint32
	}{
		{c.FailOpen, flagFailOpen},
		{c.Conntrack, flagConntrack},
		{!c.Segment, flagGSO},
		{c.Owner, flagOwner},
		{c.SecurityContext, flagSecurity},
	} {
		if o.on {
			f |= o.flag
		}
	}
	return f
}

// Bind returns the message that Open sends: it binds the queue and configures it
// in one, so that both take effect together. The error is that
// of a wrong field.
func (c Config) Bind() (nfnl.Message, error) {
	if err := c.check(); err != nil {
		return nfnl.Message{}, err
	}
	m := c.command(commandBind)
	m.Attrs = c.withDefaults().appendParams(m.Attrs)
	return m, nil
}

// Unbind returns the message that unbinds the queue. The kernel drops what
// waits in it.
func (c Config) Unbind() nfnl.Message { return c.command(commandUnbind) }

// adopt returns the message that sets up a queue which the socket has already.
func (c Config) adopt() nfnl.Message {
	return nfnl.Message{
		Header: nfnl.Header{Type: typeConfig, Resource: c.Queue},
		Attrs:  c.withDefaults().appendParams(nil),
	}
}

// command returns a message with one command, struct nfqnl_msg_config_cmd:
//
//	 0         1         2             4
//	+---------+---------+-------------+
//	| command | padding | family, 0   |
//	+---------+---------+-------------+
func (c Config) command(cmd byte) nfnl.Message {
	return nfnl.Message{
		Header: nfnl.Header{Type: typeConfig, Resource: c.Queue},
		Attrs:  attr.AppendBytes(nil, attrConfigCommand, []byte{cmd, 0, 0, 0}),
	}
}

// appendParams appends all but the command. struct nfqnl_msg_config_params is
// a packed 32-bit copy range and an 8-bit mode.
func (c Config) appendParams(b []byte) []byte {
	mode := byte(copyPacket)
	if c.MetadataOnly {
		mode = copyMeta
	}
	r := c.CopyRange
	b = attr.AppendBytes(b, attrConfigParams, []byte{byte(r >> 24), byte(r >> 16), byte(r >> 8), byte(r), mode})
	b = attr.AppendUint32(b, attrConfigMaxLen, c.MaxLen)
	b = attr.AppendUint32(b, attrConfigFlags, c.flags())
	return attr.AppendUint32(b, attrConfigMask, knownFlags|c.Flags)
}
