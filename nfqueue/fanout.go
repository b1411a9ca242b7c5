package nfqueue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Queues are several queues with one handler, opened by OpenRange or OpenQueues. They
// serve several rules, or a rule that distributes packets: "queue flags fanout to 0-3"
// by processor, or "queue to 0-3" by a hash of the two addresses, which keeps both
// directions of a connection in one queue. With IPv4 the hash includes the protocol.
// Each queue has its own socket, and in Run its own goroutine. A nil or zero Queues has
// no queues and behaves as one that is closed.
type Queues struct {
	queues      []*Queue
	configuring sync.Mutex // one at a time
}

// errNoQueues is the error of nil and the zero Queues, which behave as closed ones.
var errNoQueues = fmt.Errorf("nfqueue: use of zero Queues: %w", net.ErrClosed)

// OpenRange is OpenQueues for n queues with consecutive numbers, from cfg.Queue on.
func OpenRange(cfg Config, n int) (*Queues, error) {
	if n < 1 || int(cfg.Queue)+n > 1<<16 {
		return nil, fmt.Errorf("nfqueue: open %d queues from Config.Queue %d on: there must be at least one, and none above 65535", n, cfg.Queue)
	}
	numbers := make([]uint16, n)
	for i := range numbers {
		numbers[i] = cfg.Queue + uint16(i)
	}
	return OpenQueues(cfg, numbers...)
}

// OpenQueues opens the queues with the given numbers; cfg.Queue must be the first of
// them, or 0. If one of them cannot be opened, the others are closed again. The default
// values of Socket.ReadBuffer, MaxHeld and MaxHeldBytes are divided by the number of
// queues, but by 8 at most.
func OpenQueues(cfg Config, numbers ...uint16) (*Queues, error) {
	if err := checkNumbers(cfg, numbers); err != nil {
		return nil, err
	}
	cfg.queues = len(numbers)
	qs := &Queues{}
	for _, cfg.Queue = range numbers {
		q, err := Open(cfg)
		if err != nil {
			qs.Close()
			return nil, err
		}
		qs.queues = append(qs.queues, q)
	}
	return qs, nil
}

// checkNumbers refuses numbers that OpenQueues cannot open with cfg.
func checkNumbers(cfg Config, numbers []uint16) error {
	if len(numbers) == 0 {
		return errors.New("nfqueue: open no queues: there must be at least one number")
	}
	if cfg.Queue != 0 && cfg.Queue != numbers[0] {
		return fmt.Errorf("nfqueue: Config.Queue is %d, but the first of the numbers is %d", cfg.Queue, numbers[0])
	}
	for i, n := range numbers {
		if slices.Contains(numbers[:i], n) {
			return fmt.Errorf("nfqueue: open queue %d twice", n)
		}
	}
	return nil
}

// Len returns the number of queues.
func (qs *Queues) Len() int { return len(qs.all()) }

// Queue returns the i-th queue, counted from 0 in the order of OpenQueues. If there is none
// it returns nil, whose methods return net.ErrClosed.
func (qs *Queues) Queue(i int) *Queue {
	if i < 0 || i >= qs.Len() {
		return nil
	}
	return qs.queues[i]
}

// all returns the queues.
func (qs *Queues) all() []*Queue {
	if qs == nil {
		return nil // as after an OpenQueues that failed
	}
	return qs.queues
}

// Run calls h for the packets of all queues, with one goroutine for each queue: h and
// Config.OnError are called concurrently. When the Run of one queue returns, Queues.Run
// ends the Runs of the others, without closing their queues, and then returns its
// error; see Queue.Run.
//
// If h or OnError panics, Run ends for all queues and then panics with a *PanicError in
// the goroutine of its caller, which can recover. If h calls runtime.Goexit, as FailNow
// of package testing does, Run calls it in the goroutine of its caller. In both cases
// Run first waits for running handlers of the other queues: a handler that blocks
// delays the panic. To avoid the delay, return Hold instead of blocking, or recover from
// panics in the handler.
func (qs *Queues) Run(ctx context.Context, h Handler) error {
	switch {
	case qs.Len() == 0:
		return errNoQueues
	case ctx == nil:
		return errNoContext
	case h == nil:
		return errNoHandler
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan ending, len(qs.queues))
	for _, q := range qs.queues {
		go q.runAside(ctx, h, ended)
	}
	e := <-ended
	cancel()
	for range len(qs.queues) - 1 {
		e = e.with(<-ended)
	}
	switch {
	case e.panicked != nil:
		panic(e.panicked)
	case e.exited:
		runtime.Goexit()
	}
	return e.err
}

// A PanicError is the value with which Queues.Run panics after its handler or
// Config.OnError panicked.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of the goroutine that panicked, as debug.Stack has it
}

// Error returns a text with the value and the stack, so that the output of an uncaught
// panic has both.
func (e *PanicError) Error() string {
	return fmt.Sprintf("nfqueue: panic in Queues.Run: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// An ending is how a Run ended.
type ending struct {
	err      error
	panicked *PanicError
	exited   bool // the handler ended its goroutine
}

// with returns e combined with a later ending, which counts only if its handler did
// not return.
func (e ending) with(later ending) ending {
	if e.panicked == nil {
		e.panicked = later.panicked
	}
	e.exited = e.exited || later.exited
	return e
}

// runAside is Run in a goroutine of its own. It sends how Run ended.
func (q *Queue) runAside(ctx context.Context, h Handler, ended chan<- ending) {
	e := ending{exited: true}
	defer func() {
		if v := recover(); v != nil {
			e = ending{panicked: &PanicError{v, debug.Stack()}}
		}
		ended <- e
	}()
	e = ending{err: q.Run(ctx, h)}
}

// Configure changes all queues to cfg, in which Queue is the number of the first;
// see Queue.Configure. If one of them cannot be changed, those before it are
// changed back. Until it returns, some queues have the old configuration and some
// the new one.
func (qs *Queues) Configure(cfg Config) error {
	if qs.Len() == 0 {
		return errNoQueues
	}
	if first := qs.queues[0].number; cfg.Queue != first {
		return fmt.Errorf("nfqueue: Config.Queue is %d, not %d, the first of the open queues", cfg.Queue, first)
	}
	qs.configuring.Lock()
	defer qs.configuring.Unlock()
	var before []Config
	for i, q := range qs.queues {
		cfg.Queue = q.number
		before = append(before, q.Config())
		if err := q.Configure(cfg); err != nil {
			for j, old := range before[:i] {
				err = errors.Join(err, qs.queues[j].Configure(old))
			}
			return err
		}
	}
	return nil
}

// Stats returns the sum of all queues' counts.
func (qs *Queues) Stats() Stats {
	var sum Stats
	for _, q := range qs.all() {
		sum.add(q.Stats())
	}
	return sum
}

// SetVerdictAll gives v to all packets that wait in any of the queues; see Queue.SetVerdictAll.
func (qs *Queues) SetVerdictAll(v Verdict) error {
	if qs.Len() == 0 {
		return errNoQueues
	}
	var errs []error
	for _, q := range qs.queues {
		errs = append(errs, q.SetVerdictAll(v))
	}
	return errors.Join(errs...)
}

// Shutdown closes all queues without losing packets; see Queue.Shutdown. It waits for
// the packets of all queues concurrently, and closes the queues after that: Queues.Run
// has to continue until Shutdown returns.
func (qs *Queues) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	errs := make([]error, qs.Len())
	var wg sync.WaitGroup
	for i, q := range qs.all() {
		wg.Go(func() { errs[i] = q.emptyAlone(ctx) })
	}
	wg.Wait() // the first to be closed ends the Run of all
	for i, q := range qs.all() {
		errs[i] = q.endWith(errs[i])
	}
	return errors.Join(errs...)
}

// Close closes all queues. Close is idempotent.
func (qs *Queues) Close() error {
	var errs []error
	for _, q := range qs.all() {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// Links is Queue.Links: all queues are in one network namespace.
func (qs *Queues) Links() (*nfnl.Links, error) {
	if qs.Len() == 0 {
		return nil, errNoQueues
	}
	return qs.queues[0].Links()
}
