package nfqueue

// Granted describes the settings in effect for a queue: Config with the defaults
// filled in and, with Config.BestEffort, without what the kernel does not support.
type Granted struct {
	CopyRange uint32 // maximum number of bytes of a packet that are delivered; 0 with Config.MetadataOnly
	MaxLen    uint32 // maximum number of packets that wait for a verdict in the kernel

	// MaxHeld is the maximum number of held packets, and MaxHeldBytes that of their
	// bytes.
	MaxHeld, MaxHeldBytes int

	Batch int // maximum number of packets that one system call delivers

	// ReadBuffer is the size granted to the receive buffer, in bytes of the kernel's
	// accounting: twice the requested size or, without CAP_NET_ADMIN in the initial
	// user namespace, at most twice net.core.rmem_max. A small packet uses about 832
	// bytes. ReadBuffer is 0 after Close.
	ReadBuffer int

	// These are true if they are set in Config and the kernel supports them.
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
	c.queues = 0 // a queue opened with the result is a single one
	return c
}

// Granted returns the settings in effect. For a nil or zero Queue it returns the zero
// Granted.
func (q *Queue) Granted() Granted {
	q = q.orClosed()
	c := q.cfg()
	return Granted{
		CopyRange: c.CopyRange, MaxLen: c.MaxLen, MaxHeld: c.MaxHeld, MaxHeldBytes: c.MaxHeldBytes, Batch: c.Batch, ReadBuffer: q.conn.ReadBuffer(),
		Conntrack: c.Conntrack, ConntrackVerdicts: c.ConntrackVerdicts, SecurityContext: c.SecurityContext,
	}
}

// Config returns the configuration passed to OpenQueues or to the last successful
// Configure, with the number of the first queue in Queue; see Queue.Config. For an
// empty Queues it returns the zero Config.
func (qs *Queues) Config() Config { return qs.Queue(0).Config() }

// Granted returns the settings in effect for each of the queues. Each of Conntrack,
// ConntrackVerdicts and SecurityContext is true only if it is true for every queue; the
// other fields are those of the first.
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
