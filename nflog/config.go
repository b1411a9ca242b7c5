package nflog

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// Config says which groups to open and how. Every zero field but Groups is a
// sensible default.
type Config struct {
	// Groups are the numbers in the rules, as in "log group 5": at least one,
	// each once. All are read from one socket; Packet.Group tells them apart.
	Groups []uint16

	// CopyRange is how many bytes of a packet to deliver, from the network
	// header on, at most 65531. 0 delivers as much. A rule can only lower it,
	// with "snaplen". A small range is the strongest lever on speed and on how
	// many packets the receive buffer holds.
	CopyRange uint32

	// MetadataOnly delivers no packet bytes.
	MetadataOnly bool

	// The kernel collects packets of a group and delivers them together: once
	// Threshold of them are there, or Collect has passed since the first, or
	// the next does not fit into BufferSize.
	//
	// Threshold 1 delivers each packet at once, at the price of a wakeup for
	// each. 0 means 100, of which the default BufferSize holds some 20 small
	// ones. A rule can only lower it, with "queue-threshold".
	Threshold uint32

	// Collect is how long a packet may wait for others, rounded up to a
	// multiple of 10 ms, to which the kernel may add a timer tick. 0 means
	// 10 ms; the kernel's own default is a second.
	Collect time.Duration

	// BufferSize is how many bytes the kernel collects at least, between a
	// page (at most 8192) and 131072. 0 means the kernel's default, about a
	// page, and 32 KiB with a Threshold above 32. See nfnl.Conn.ReadBuffer: a
	// collected buffer counts there with up to twice its size, full or not.
	BufferSize uint32

	// GlobalSequence sets Packet.GlobalSeq, which tells the order in which
	// packets of several groups were logged.
	GlobalSequence bool

	// Flags are bits of NFULA_CFG_FLAGS that are newer than this package. Those
	// it knows have fields of their own, or are always set as sequence numbers
	// are, and are refused here.
	Flags uint16

	// Batch is how many datagrams one system call may deliver, each with all
	// that was collected, at most 256. 0 means 8.
	Batch int

	// OnError is told of what does not end Packets or Receive: lost packets
	// (*nfnl.OverrunError) and malformed messages. It is called by the
	// goroutine that receives, between packets, so it should not block. Nil
	// ignores them; Stats counts them all the same.
	OnError func(error)

	// Socket sets the network namespace and the receive buffer. A ReadBuffer of
	// 0 asks for 2 to 8 MiB, by BufferSize.
	Socket nfnl.Config
}

// The defaults.
const (
	defaultThreshold = 100 // the kernel's own, NFULNL_QTHRESH_DEFAULT
	defaultCollect   = collectUnit
	defaultBatch     = 8
)

// collectUnit is the kernel's unit of NFULA_CFG_TIMEOUT, and maxCollect the
// longest time that its 32 bits hold.
const (
	collectUnit = 10 * time.Millisecond
	maxCollect  = (1<<32 - 1) * collectUnit
)

// raisedBufferSize is BufferSize for a Threshold above manyPackets, more small
// packets than the kernel's default has room for. The kernel makes 64 KiB of
// it, room for 350 small packets or 38 full ones; that still fits a slot of
// the smallest size, and memory that large can mostly be had where the kernel
// must not wait for it.
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
	minSlot       = 72 << 10 // a packet of 64 KiB gets a datagram of its own size
	slabOverhead  = 320      // sizeof(struct skb_shared_info)
	minReadBuffer = 2 << 20
	maxReadBuffer = 8 << 20
	minDatagrams  = 32 // that the receive buffer is to hold
)

// maxBatch keeps the buffers of a batch below 64 MiB.
const maxBatch = 256

// slotSize returns the size of the longest datagram of a group: the allocator
// rounds the kernel's buffer up, and the kernel fills it all.
func slotSize(bufferSize uint32) int {
	return max(1<<bits.Len32(bufferSize+slabOverhead-1), minSlot)
}

// withDefaults returns c with no zero left where zero means something else.
func (c Config) withDefaults() Config {
	if c.CopyRange == 0 && !c.MetadataOnly {
		c.CopyRange = maxCopyRange
	}
	if c.BufferSize == 0 && c.Threshold > manyPackets {
		c.BufferSize = raisedBufferSize
	}
	if c.Threshold == 0 {
		c.Threshold = defaultThreshold
	}
	if c.Collect == 0 {
		c.Collect = defaultCollect
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	if c.Socket.ReadBuffer == 0 {
		c.Socket.ReadBuffer = min(max(minDatagrams*slotSize(c.BufferSize), minReadBuffer), maxReadBuffer)
	}
	return c
}

// check finds values that the kernel would refuse, or silently ignore.
func (c Config) check() error {
	if len(c.Groups) == 0 {
		return fmt.Errorf("nflog: Config.Groups is empty")
	}
	for i, g := range c.Groups {
		if slices.Contains(c.Groups[:i], g) {
			return fmt.Errorf("nflog: Config.Groups has %d twice", g)
		}
	}
	switch {
	case c.Batch < 0 || c.Batch > maxBatch:
		return fmt.Errorf("nflog: Config.Batch is %d, not between 0 and %d", c.Batch, maxBatch)
	case c.Socket.ReadBuffer < 0:
		return fmt.Errorf("nflog: Config.Socket.ReadBuffer is %d, below 0", c.Socket.ReadBuffer)
	case c.Socket.NetNS < 0:
		return fmt.Errorf("nflog: Config.Socket.NetNS is %d, not a file descriptor", c.Socket.NetNS)
	}
	return c.checkParams()
}

// checkParams is check for what is sent to the kernel.
func (c Config) checkParams() error {
	switch {
	case c.CopyRange > maxCopyRange:
		return fmt.Errorf("nflog: Config.CopyRange is %d, above %d", c.CopyRange, maxCopyRange)
	case c.MetadataOnly && c.CopyRange > 0:
		return fmt.Errorf("nflog: Config.CopyRange is %d, but Config.MetadataOnly asks for no bytes", c.CopyRange)
	case c.Collect < 0 || c.Collect > maxCollect:
		return fmt.Errorf("nflog: Config.Collect is %v, not between 0 and %v", c.Collect, maxCollect)
	case c.BufferSize != 0 && (c.BufferSize < minBufferSize() || c.BufferSize > maxBufferSize):
		return fmt.Errorf("nflog: Config.BufferSize is %d, not between %d and %d", c.BufferSize, minBufferSize(), maxBufferSize)
	case c.Flags&knownFlags != 0:
		return fmt.Errorf("nflog: Config.Flags is %#x: of the bits in %#x, use GlobalSequence; sequence numbers are always on, and conntrack is not read",
			c.Flags, knownFlags)
	}
	return nil
}

// flags returns the flags to set; all others are cleared.
func (c Config) flags() uint16 {
	f := c.Flags | flagSeq
	if c.GlobalSequence {
		f |= flagGlobalSeq
	}
	return f
}

// Bind returns the message that Open sends for a group: it binds to the group
// and sets everything, so that no packet finds a group half set up. The group
// need not be in Groups. The error is that of a wrong field.
func (c Config) Bind(group uint16) (nfnl.Message, error) {
	if err := c.checkParams(); err != nil {
		return nfnl.Message{}, err
	}
	m := command(group, commandBind)
	m.Attrs = c.withDefaults().appendParams(m.Attrs)
	return m, nil
}

// Unbind returns the message that gives a group back. The kernel delivers what
// it has collected before it answers.
func (c Config) Unbind(group uint16) nfnl.Message { return command(group, commandUnbind) }

// adopt returns the message that sets up a group which the socket has already.
// The kernel's default buffer size cannot be named; the least that can be is
// next to it.
func (c Config) adopt(group uint16) nfnl.Message {
	c = c.withDefaults()
	c.BufferSize = max(c.BufferSize, minBufferSize())
	return nfnl.Message{
		Header: nfnl.Header{Type: typeConfig, Resource: group},
		Attrs:  c.appendParams(nil),
	}
}

// command returns a message with one command: struct nfulnl_msg_config_cmd is
// 8 bits.
func command(group uint16, cmd byte) nfnl.Message {
	return nfnl.Message{
		Header: nfnl.Header{Type: typeConfig, Resource: group},
		Attrs:  attr.AppendUint8(nil, attrConfigCommand, cmd),
	}
}

// appendParams appends all but the command. struct nfulnl_msg_config_mode is
// packed:
//
//	 0             4      5         6
//	+-------------+------+---------+
//	| copy range  | mode | padding |
//	+-------------+------+---------+
func (c Config) appendParams(b []byte) []byte {
	mode := [6]byte{4: copyPacket}
	if c.MetadataOnly {
		mode[4] = copyMeta
	}
	binary.BigEndian.PutUint32(mode[:], c.CopyRange)
	b = attr.AppendBytes(b, attrConfigMode, mode[:])
	b = attr.AppendUint32(b, attrConfigTimeout, uint32((c.Collect+collectUnit-1)/collectUnit))
	if c.BufferSize != 0 {
		b = attr.AppendUint32(b, attrConfigBufferSize, c.BufferSize)
	}
	b = attr.AppendUint32(b, attrConfigThreshold, c.Threshold)
	return attr.AppendUint16(b, attrConfigFlags, c.flags())
}
