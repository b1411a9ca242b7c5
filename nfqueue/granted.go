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
