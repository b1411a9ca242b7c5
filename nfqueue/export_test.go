package nfqueue

// QueuesOf returns queues that were opened one by one as OpenRange returns them,
// for those of fake kernels.
func QueuesOf(queues ...*Queue) *Queues { return &Queues{queues: queues} }
