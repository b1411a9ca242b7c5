package nfqueue

// Granted describes the settings in effect for a queue: Config with the defaults
// filled in and, with Config.BestEffort, without what the kernel does not support.
type Granted struct {
	CopyRange uint32 // bytes of a packet that are delivered at most; 0 with Config.MetadataOnly
	MaxLen    uint32 // packets that the kernel holds for a verdict

	// MaxHeld packets, and MaxHeldBytes of them, may be held at a time.
	MaxHeld, MaxHeldBytes int

	Batch int // packets that one system call may deliver

	// ReadBuffer is the size of the receive buffer in bytes of the kernel's own
	// accounting, about 832 a small packet: twice what was asked for, or what
	// net.core.rmem_max allows. It is 0 after Close.
	ReadBuffer int

	// These are false if Config.BestEffort did without them.
	Conntrack, ConntrackVerdicts, SecurityContext bool
}

// Config returns the configuration passed to Open or to the last successful Configure.
// It can be modified and passed to Configure. Its Socket field is as passed to Open.
func (q *Queue) Config() Config {
	given := q.orClosed().given.Load()
	if given == nil {
		return Config{}
	}
	c := *given
	c.queues = 0 // for who opens another queue with it
	return c
}

// Granted returns the settings in effect. For a Queue that was never open it returns
// zero.
func (q *Queue) Granted() Granted {
	q = q.orClosed()
	c := q.cfg()
	return Granted{
		CopyRange: c.CopyRange, MaxLen: c.MaxLen, MaxHeld: c.MaxHeld, MaxHeldBytes: c.MaxHeldBytes, Batch: c.Batch, ReadBuffer: q.conn.ReadBuffer(),
		Conntrack: c.Conntrack, ConntrackVerdicts: c.ConntrackVerdicts, SecurityContext: c.SecurityContext,
	}
}

// Config returns what the queues were given, with the number of the first in Queue;
// see Queue.Config. Of no queues it is zero.
func (qs *Queues) Config() Config { return qs.Queue(0).Config() }

// Granted returns what each of the queues has. With Config.BestEffort a field that
// says what the kernel can do is only true if it is of all of them.
func (qs *Queues) Granted() Granted {
	g := qs.Queue(0).Granted()
	for _, q := range qs.all() {
		other := q.Granted()
		g.Conntrack = g.Conntrack && other.Conntrack
		g.ConntrackVerdicts = g.ConntrackVerdicts && other.ConntrackVerdicts
		g.SecurityContext = g.SecurityContext && other.SecurityContext
	}
	return g
}
