package nflog

import (
	"slices"
	"time"
)

// Granted is what the groups of a Reader have: what Config asked for, with the
// defaults filled in and, if Config.BestEffort is set, without what the kernel
// lacks. The size of the receive buffer is in Stats.
type Granted struct {
	CopyRange    uint32        // bytes of a packet that are delivered at most; 0 with Config.MetadataOnly
	Threshold    uint32        // packets that are collected before they are delivered
	FlushTimeout time.Duration // after which they are in any case, in whole units of 10 ms

	// BufferSize is how many bytes the kernel collects at least: for its own
	// default, the least that Config.BufferSize can ask for.
	BufferSize uint32

	Batch int // datagrams that one system call may deliver

	Conntrack bool // false if Config.BestEffort did without it
}

// Config returns what Open, AdoptConn or the last Configure that succeeded was
// given. It can be changed and given to Configure. Of Socket it has what Open was
// given.
func (r *Reader) Config() Config {
	given := r.orClosed().given.Load()
	if given == nil {
		return Config{}
	}
	c := *given
	c.Groups = slices.Clone(c.Groups)
	return c
}

// Granted returns what is in force now. After AdoptConn, which asks nothing of the
// kernel, it is what AdoptConn was given, until Configure changes it. Of a Reader
// that was never open it is zero.
func (r *Reader) Granted() Granted {
	c := r.orClosed().config.Load()
	if c == nil {
		return Granted{}
	}
	return Granted{
		CopyRange: c.CopyRange, Threshold: c.Threshold, FlushTimeout: c.FlushTimeout,
		BufferSize: max(c.BufferSize, minBufferSize()), Batch: c.Batch, Conntrack: c.Conntrack,
	}
}
