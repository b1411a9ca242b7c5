package nflog

import (
	"fmt"
	"math/bits"
	"os"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Config says which groups to open and how. Every zero field but Groups is a
// sensible default. Linux 5.10 and later have all of it, but for what Conntrack
// needs them to be built with.
type Config struct {
	// Groups are the numbers in the rules, as in "log group 5": at least one,
	// each once. All are read from one socket, and so share its receive buffer: a
	// flood of one group takes the room of the others. Give a group whose packets
	// must not be lost a Reader of its own. Packet.Group tells them apart. The
	// kernel looks for a group in lists of every sixteenth, so that thousands take
	// long to open: 8,192 some 0.2 s, all 65,536 half a minute.
	Groups []uint16

	// CopyRange is how many bytes of a packet to deliver, from the network
	// header on (at the hook egress, from the link header on). 0, and what is above
	// 65531, means all that there is, which is cut at 65531. A rule can only lower it, with "snaplen". A small range is
	// the strongest lever on speed and on how many packets the receive buffer
	// holds.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// The kernel collects packets of a group and delivers them together: once
	// Threshold of them are there, or FlushTimeout has passed since the first, or
	// the next does not fit into BufferSize.
	//
	// Threshold 1 delivers each packet at once, at the price of a wakeup for
	// each. 0 means 100, of which the default BufferSize holds some 20 small
	// ones. A rule can only lower it, with "queue-threshold".
	Threshold uint32

	// FlushTimeout is how long a packet may wait for others, rounded up to a
	// multiple of 10 ms, to which the kernel may add a timer tick. 0 means
	// 10 ms; the kernel's own default is a second.
	FlushTimeout time.Duration

	// BufferSize is how many bytes the kernel collects at least, between a
	// page (at most 8192) and 131072. 0 means the kernel's default, about a
	// page, and 32 KiB with a Threshold above 32. See nfnl.Conn.ReadBuffer: a
	// collected buffer counts there with up to twice its size, full or not.
	BufferSize uint32

	// GlobalSequence sets Packet.GlobalSeq, which tells the order in which
	// packets of several groups were logged.
	GlobalSequence bool

	// Conntrack asks for Packet.ConntrackInfo and Packet.Conntrack. The kernel
	// needs to be built for it (NETFILTER_NETLINK_GLUE_CT); Open fails where it
	// is not.
	Conntrack bool

	// BestEffort makes Open do without Conntrack where the kernel lacks it;
	// see Reader.Granted.
	BestEffort bool

	// Flags are bits of NFULA_CFG_FLAGS that are newer than this package. Those
	// it knows have fields of their own, or are always set as sequence numbers
	// are, and are refused here. Linux before 7.2 takes any and ignores what it
	// does not know: that Open succeeds proves nothing there.
	Flags uint16

	// Batch is how many datagrams one system call may deliver, each with all
	// that was collected, at most 256. 0 means 32 with a Threshold of 1, and as
	// few as 4 with a large one.
	Batch int

	// OnError is told of what does not end Packets or Receive: lost packets
	// (*nfnl.OverrunError) and malformed messages. It is called by the
	// goroutine that receives, between packets, so it should not block. Nil
	// ignores them; Stats counts them all the same.
	OnError func(error)

	// Socket sets the network namespace and the receive buffer. A ReadBuffer of
	// 0 asks for 2 to 8 MiB, by BufferSize and CopyRange.
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
// packets than the kernel's default has room for. The kernel makes 64 KiB of
// it, room for 350 small packets or 38 full ones; memory that large can mostly
// be had where the kernel must not wait for it.
const (
	raisedBufferSize = 32 << 10
	manyPackets      = 32
)

// maxBufferSize is NFULNL_NLBUFSIZ_MAX.
const maxBufferSize = 131072

// minBufferSize is just above the kernel's NFULNL_NLBUFSIZ_DEFAULT, a page of
// at most 8 KiB less the overhead of a socket buffer. The kernel ignores a
// smaller size, and says nothing.
func minBufferSize() uint32 { return uint32(min(os.Getpagesize(), 8192)) }

// Sizes of what a receive needs, in bytes.
const (
	metadataRoom  = 8 << 10 // for all of a packet but its payload
	slabOverhead  = 320     // sizeof(struct skb_shared_info)
	minReadBuffer = 2 << 20
	maxReadBuffer = 8 << 20
	minDatagrams  = 32 // that the receive buffer is to hold
)

// packetsAtOnce are enough for a receive by default, and minBatch the fewest
// datagrams to take them from: more save few system calls, and what comes would
// not stay in the processor's nearest caches until it is read.
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

// withDefaults returns c with no zero left where zero means something else, but
// for the kernel's default BufferSize, which cannot be named.
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
	if err := c.Socket.Check(); err != nil {
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
