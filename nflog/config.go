package nflog

import (
	"fmt"
	"math/bits"
	"os"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Config has the numbers of the groups and the options for opening them. The zero value
// of every field except Groups selects a default. Linux 5.10 and later support all
// fields, except that Conntrack depends on a build option of the kernel.
type Config struct {
	// Groups are the numbers in the rules, as in "log group 5": at least one, without
	// duplicates. All groups are read from one socket and share its receive buffer, so
	// that a flood in one causes loss in the others. Open a separate Reader for a
	// group whose packets must not be lost. Packet.Group is the group of a packet.
	//
	// The time that Open takes grows faster than the number of groups, because the
	// kernel searches the open groups once for each new one: 8,192 groups take about
	// 0.2 s, and all 65,536 half a minute or more.
	Groups []uint16

	// CopyRange is the maximum number of bytes of a packet to deliver, from the network
	// header on (at the hook egress, from the link header on). 0 and values above 65531
	// mean 65531. A rule can lower CopyRange with "snaplen", but not raise it. A small
	// CopyRange is faster, and more packets fit into the receive buffer.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// The kernel collects packets of a group and delivers them together: once it has
	// Threshold packets, or FlushTimeout has passed since the first, or the next does
	// not fit into BufferSize.
	//
	// Threshold 1 delivers each packet at once, at the cost of a wakeup for each. 0
	// means 100; with the default BufferSize a datagram is full earlier, after about 20
	// small packets. A rule can lower Threshold with "queue-threshold", but not raise
	// it.
	Threshold uint32

	// FlushTimeout is how long a packet may wait in the kernel for others, rounded up
	// to a multiple of 10 ms. A packet may wait one timer tick of the kernel longer. 0
	// means 10 ms; the default of the kernel is one second.
	FlushTimeout time.Duration

	// BufferSize is the size in bytes of the buffer in which the kernel collects
	// packets. The kernel rounds it up, and allocates a larger buffer for a longer
	// packet. The minimum is the page size, or 8192 if pages are larger; the maximum is
	// 131072. 0 means 32 KiB if Threshold is explicitly set above 32, and otherwise
	// about one page, which holds about 20 small packets. A delivered buffer, even one
	// that is not full, takes up to twice its size in the receive buffer
	// (Granted.ReadBuffer).
	BufferSize uint32

	// GlobalSequence sets Packet.GlobalSeq, which gives the order of packets of
	// different groups.
	GlobalSequence bool

	// Conntrack sets Packet.ConntrackInfo and Packet.Conntrack. Open fails if the
	// kernel was built without NETFILTER_NETLINK_GLUE_CT; see BestEffort.
	Conntrack bool

	// BestEffort makes Open succeed without Conntrack if the kernel does not support
	// it; Reader.Granted returns whether it is in effect.
	BestEffort bool

	// Flags are additional bits of NFULA_CFG_FLAGS, for flags newer than this package.
	// Open refuses bits that other fields of Config set, and those that are always
	// set. Linux before 7.2 ignores unknown flags, so that success of Open does not
	// show that a flag is supported.
	Flags uint16

	// Batch is the maximum number of datagrams received by one system call. Open
	// refuses values above 256. A datagram holds all packets that the kernel collected.
	// 0 means 32 with a Threshold of 1, and as few as 4 with a large one.
	Batch int

	// OnError is called with errors that do not end Packets or Receive. They wrap an
	// *nfnl.OverrunError if packets were lost, or nfnl.ErrMalformed: use errors.As and
	// errors.Is. It is called by the goroutine that receives, between packets, and
	// should not block. If OnError is nil the errors are only counted in Stats.
	OnError func(error)

	// Socket sets the network namespace and the size of the receive buffer. The default
	// ReadBuffer is between 2 and 8 MiB, and increases with BufferSize and CopyRange.
	Socket nfnl.Config
}

// The defaults.
const (
	defaultThreshold    = 100 // the kernel's own, NFULNL_QTHRESH_DEFAULT
	defaultFlushTimeout = timeoutUnit
)

// timeoutUnit is the kernel's unit of NFULA_CFG_TIMEOUT, and maxFlushTimeout the
// longest time that its 32 bits hold.
const (
	timeoutUnit     = 10 * time.Millisecond
	maxFlushTimeout = (1<<32 - 1) * timeoutUnit
)

// raisedBufferSize is BufferSize for a Threshold above manyPackets, more small
// packets than the kernel's default has room for. The kernel makes 64 KiB of it,
// room for 350 small packets or 38 full ones; the kernel can usually allocate
// that much without waiting.
const (
	raisedBufferSize = 32 << 10
	manyPackets      = 32
)

// maxBufferSize is NFULNL_NLBUFSIZ_MAX.
const maxBufferSize = 131072

// minBufferSize is just above the kernel's NFULNL_NLBUFSIZ_DEFAULT, a page of at
// most 8 KiB less the overhead of a socket buffer. The kernel silently ignores a
// smaller size.
func minBufferSize() uint32 { return uint32(min(os.Getpagesize(), 8192)) }

// Sizes of what a receive needs, in bytes.
const (
	metadataRoom  = 8 << 10 // for all of a packet but its payload
	slabOverhead  = 320     // sizeof(struct skb_shared_info)
	minReadBuffer = 2 << 20
	maxReadBuffer = 8 << 20
	minDatagrams  = 32 // that the receive buffer is to hold
)

// packetsAtOnce is how many packets a receive takes by default, from at least
// minBatch datagrams. More would save few system calls, and the packets would not
// stay in the processor's nearest caches until they are read.
const (
	packetsAtOnce = 32
	minBatch      = 4
)

// maxBatch keeps the buffers of a batch below 64 MiB.
const maxBatch = 256

// slotSize returns the size of the longest datagram of a group. The kernel makes
// a buffer of bufferSize, or for a packet that is longer one of that length
// (nfulnl_alloc_skb); the allocator rounds it up, and the kernel fills it all.
func slotSize(bufferSize, copyRange uint32) int {
	return 1 << bits.Len32(max(bufferSize, copyRange+metadataRoom)+slabOverhead-1)
}

// withDefaults returns c with no zero left where zero means something else, but for
// the kernel's default BufferSize, which cannot be set.
func (c Config) withDefaults() Config {
	if c.CopyRange == 0 && !c.MetadataOnly {
		c.CopyRange = maxCopyRange
	}
	c.CopyRange = min(c.CopyRange, maxCopyRange)
	if c.BufferSize == 0 && c.Threshold > manyPackets {
		c.BufferSize = raisedBufferSize
	}
	if c.Threshold == 0 {
		c.Threshold = defaultThreshold
	}
	if c.FlushTimeout == 0 {
		c.FlushTimeout = defaultFlushTimeout
	}
	c.FlushTimeout = (c.FlushTimeout + timeoutUnit - 1) / timeoutUnit * timeoutUnit
	if c.Batch == 0 {
		c.Batch = max(packetsAtOnce/int(min(c.Threshold, packetsAtOnce)), minBatch)
	}
	if c.Socket.ReadBuffer == 0 {
		c.Socket.ReadBuffer = min(max(minDatagrams*slotSize(c.BufferSize, c.CopyRange), minReadBuffer), maxReadBuffer)
	}
	return c
}

// check finds values that the kernel would refuse, or silently ignore.
func (c Config) check() error {
	if len(c.Groups) == 0 {
		return fmt.Errorf("nflog: Config.Groups is empty")
	}
	if _, _, err := groupTable(c.Groups); err != nil {
		return err
	}
	if c.Batch < 0 || c.Batch > maxBatch {
		return fmt.Errorf("nflog: Config.Batch is %d, not between 0 and %d", c.Batch, maxBatch)
	}
	if err := engine.Config(c.Socket).Check(); err != nil {
		return fmt.Errorf("nflog: Config.Socket.%w", err)
	}
	return c.checkParams()
}

// checkParams is check for what is sent to the kernel.
func (c Config) checkParams() error {
	switch {
	case c.MetadataOnly && c.CopyRange > 0:
		return fmt.Errorf("nflog: Config.CopyRange is %d, but Config.MetadataOnly asks for no bytes", c.CopyRange)
	case c.FlushTimeout < 0 || c.FlushTimeout > maxFlushTimeout:
		return fmt.Errorf("nflog: Config.FlushTimeout is %v, not between 0 and %v", c.FlushTimeout, maxFlushTimeout)
	case c.BufferSize != 0 && (c.BufferSize < minBufferSize() || c.BufferSize > maxBufferSize):
		return fmt.Errorf("nflog: Config.BufferSize is %d, not between %d and %d", c.BufferSize, minBufferSize(), maxBufferSize)
	case c.Flags&knownFlags != 0:
		return fmt.Errorf("nflog: Config.Flags is %#x: of the bits in %#x, use GlobalSequence and Conntrack; sequence numbers are always on",
			c.Flags, knownFlags)
	}
	return nil
}

// flags returns the flags to set. There is no mask: all others are cleared.
func (c Config) flags() uint16 {
	f := c.Flags | flagSeq
	if c.GlobalSequence {
		f |= flagGlobalSeq
	}
	if c.Conntrack {
		f |= flagConntrack
	}
	return f
}
