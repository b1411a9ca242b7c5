package nfqueue

// QueuesOf returns queues that were opened one by one as OpenRange returns them,
// for those of fake kernels.
func QueuesOf(queues ...*Queue) *Queues { return &Queues{queues: queues} }

// What a kernel lets a payload change, for tests that must not depend on the
// one they run on.
const (
	AnyRewrite  = anyRewrite
	SameHeaders = sameHeaders
	NoRewrite   = noRewrite
)

// Restrict says what q's kernel lets a payload change.
func (q *Queue) Restrict(r restriction) { q.restriction = r }
