package nfqueue

import (
	"fmt"
	"math"
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
	// header on. 0, and what is above 65531, means all that there is, which is
	// cut at 65531. A small range is the
	// strongest lever on speed and on how many packets the receive buffer
	// holds; a packet that it cut cannot be rewritten.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// MaxLen is how many packets the kernel holds for a verdict before it drops
	// new ones, or lets them through if FailOpen is set. Only the kernel's own
	// counters show that. 0 means 16,384. Kernels that find packets by hash, from
	// 7.0 on and some before, hold at most 65,536, whatever MaxLen is; packets above
	// that are in Stats.Lost, for they have an ID.
	MaxLen uint32

	// FailOpen makes the kernel accept, not drop, what does not fit the queue
	// or the socket. It does not cover a program that is not there: for that
	// the rule needs the bypass flag.
	FailOpen bool

	// Segment makes the kernel cut large (GSO) packets and complete checksums
	// before it delivers them, so that they look as they do on the wire, at the
	// price of many more packets. By default they come whole; see Packet.GSO.
	// A program that rewrites UDP needs Segment if senders use UDP GSO; but some
	// kernels lose packets then: see "Kernels" in the package documentation.
	Segment bool

	// Conntrack asks for Packet.Conntrack and ConntrackInfo, Owner for HasOwner,
	// UID and GID, SecurityContext for the field of that name. The kernel needs to
	// be built for the first (NETFILTER_NETLINK_GLUE_CT) and the last
	// (NETWORK_SECMARK); Open fails where it is not.
	Conntrack, Owner, SecurityContext bool

	// ConntrackVerdicts makes sure that the kernel can change connections by
	// verdict, without the cost of Conntrack on every packet; Open fails where it
	// cannot. Conntrack allows such verdicts too, and tells which packets have no
	// connection to be changed.
	ConntrackVerdicts bool

	// BestEffort makes Open do without Conntrack, ConntrackVerdicts and
	// SecurityContext where the kernel lacks them. Queue.Granted tells.
	BestEffort bool

	// MaxHeld and MaxHeldBytes are how many packets may be held at a time, and
	// how many bytes of them; what comes after that gets Fallback, and OnError
	// is told ErrTooManyHeld. 0 means MaxLen packets, and any number of bytes.
	MaxHeld, MaxHeldBytes int

	// Flags are bits of NFQA_CFG_FLAGS that are newer than this package. Those
	// it knows have fields of their own and are refused here.
	Flags uint32

	// Fallback answers a packet that would be left without an answer: one that
	// could not be parsed, whose handler panicked, or whose verdict was refused.
	// It may have a mark or a priority but no payload, no change of the link
	// layer, and cannot be Hold. Nor can it be what may bring the packet back for
	// ever: Repeat needs a mark, which a rule before the queue rule has to let
	// through, and Requeue another queue. The zero Fallback drops.
	Fallback Verdict

	// FlushAfter is how long a verdict may wait for the handler to decide on the
	// other packets that came in the same batch. 0 means 100 µs for a handler that
	// was slow lately, and up to 4 ms for one that was not: it saves the timer.
	FlushAfter time.Duration

	// BusyPoll is for how long to look for packets again and again before waiting
	// for them, at most 10 ms. 0 is not at all. A poll saves the time that it takes
	// to wake up, if packets come one by one and there is a processor to spare. Where
	// there is none it keeps whom the packet is for from running, and makes things
	// slower: measure. Some 50 µs cover a round trip between two programs. Each Run
	// that waits polls, with OpenRange each queue's, and so needs a processor.
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
	// together is reported once, with their number. OnError is called by the
	// goroutine that receives or decides, before the verdicts of a batch are sent,
	// and by a timer's when held packets
	// expire: so by several at once, and it should not block, for the packets
	// behind wait. Nor should it panic: in Run that is as if the handler did, in
	// the timer's goroutine it ends the program. Nil ignores them; Stats counts
	// them all the same.
	OnError func(error)

	// Socket sets the network namespace and the receive buffer. A ReadBuffer of
	// 0 asks for what MaxLen small packets need, between 1 and 8 MiB.
	Socket nfnl.Config
}

// The defaults.
const (
	defaultMaxLen     = 16384
	defaultBatch      = 64
	defaultFlushAfter = 100 * time.Microsecond
)

// maxBatch is how many verdicts one send may carry. Each that the kernel
// refuses is answered on the socket, so more of them could fill it.
const maxBatch = 256

// maxBusyPoll is after what time Go's scheduler takes a processor away from who
// uses it.
const maxBusyPoll = 10 * time.Millisecond

// Receive buffer sizes, in bytes.
const (
	packetCost    = 832 // what the kernel charges for a packet of up to 150 bytes
	minReadBuffer = 1 << 20
	maxReadBuffer = 8 << 20
)

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
		c.MaxHeld = int(min(c.MaxLen, math.MaxInt32))
	}
	if c.MaxHeldBytes == 0 {
		c.MaxHeldBytes = math.MaxInt
	}
	if c.Socket.ReadBuffer == 0 {
		c.Socket.ReadBuffer = int(min(max(uint64(c.MaxLen)*packetCost, minReadBuffer), maxReadBuffer))
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

// Bind returns the message that Open sends: it binds to the queue and sets
// everything, so that no packet finds a queue half set up. The error is that
// of a wrong field.
func (c Config) Bind() (nfnl.Message, error) {
	if err := c.check(); err != nil {
		return nfnl.Message{}, err
	}
	m := c.command(commandBind)
	m.Attrs = c.withDefaults().appendParams(m.Attrs)
	return m, nil
}

// Unbind returns the message that gives the queue back. The kernel drops what
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
