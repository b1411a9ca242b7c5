package nflog

import (
	"slices"
	"time"
)

// Granted describes the settings in effect for the groups of a Reader: Config with the
// defaults filled in and, with Config.BestEffort, without what the kernel does not
// support.
type Granted struct {
	CopyRange    uint32        // maximum number of bytes of a packet that are delivered; 0 with Config.MetadataOnly
	Threshold    uint32        // number of collected packets at which they are delivered
	FlushTimeout time.Duration // time after which collected packets are delivered, a multiple of 10 ms

	// BufferSize is the size in bytes of the buffer in which the kernel collects
	// packets. If the kernel chose the size, which it does not report, BufferSize is
	// the smallest that Config permits, about one page.
	BufferSize uint32

	Batch int // maximum number of datagrams that one system call delivers

	// ReadBuffer is the size granted to the receive buffer, in bytes of the kernel's
	// accounting: twice the requested size or, without CAP_NET_ADMIN in the initial
	// user namespace, at most twice net.core.rmem_max. A datagram uses up to twice
	// BufferSize, even if it is not full. ReadBuffer is 0 after Close.
	ReadBuffer int

	Conntrack bool // true if it is set in Config and the kernel supports it
}

// Config returns the configuration passed to Open, AdoptConn or the last successful
// Configure. It can be modified and passed to Configure. Its Socket field is as passed
// to Open.
func (r *Reader) Config() Config {
	given := r.orClosed().given.Load()
	if given == nil {
		return Config{}
	}
	c := *given
	c.Groups = slices.Clone(c.Groups)
	return c
}

// Granted returns the settings in effect. After AdoptConn, which does not query the
// kernel, they are those of the Config passed to it, with defaults filled in, until
// Configure is called. For a nil or zero Reader it returns the zero Granted.
func (r *Reader) Granted() Granted {
	r = r.orClosed()
	c := r.config.Load()
	if c == nil {
		return Granted{}
	}
	return Granted{
		CopyRange: c.CopyRange, Threshold: c.Threshold, FlushTimeout: c.FlushTimeout,
		BufferSize: max(c.BufferSize, minBufferSize()), Batch: c.Batch, ReadBuffer: r.conn.ReadBuffer(),
		Conntrack: c.Conntrack,
	}
}
