package nfqueue

// Granted is what a queue has: what Config asked for, with the defaults filled in
// and, if Config.BestEffort is set, without what the kernel lacks. The size of the
// receive buffer is in Stats.
type Granted struct {
	CopyRange uint32 // bytes of a packet that are delivered at most; 0 with Config.MetadataOnly
	MaxLen    uint32 // packets that the kernel holds for a verdict

	// MaxHeld packets, and MaxHeldBytes of them, may be held at a time.
	MaxHeld, MaxHeldBytes int

	Batch int // packets that one system call may deliver

	// These are false if Config.BestEffort did without them.
	Conntrack, ConntrackVerdicts, SecurityContext bool
}

// Config returns what Open, or the last Configure that succeeded, was given. It
// can be changed and given to Configure. Of Socket it has what Open was given.
func (q *Queue) Config() Config {
	given := q.orClosed().given.Load()
	if given == nil {
		return Config{}
	}
	c := *given
	c.queues = 0 // for who opens another queue with it
	return c
}

// Granted returns what is in force now. Of a Queue that was never open it is zero.
func (q *Queue) Granted() Granted {
	c := q.orClosed().cfg()
	return Granted{
		CopyRange: c.CopyRange, MaxLen: c.MaxLen, MaxHeld: c.MaxHeld, MaxHeldBytes: c.MaxHeldBytes, Batch: c.Batch,
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
