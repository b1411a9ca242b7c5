// Package nfqueue receives the packets that netfilter rules queue (NFQUEUE) and
// returns a verdict on each to the kernel: accept it, drop it or change it.
//
// With this rule in place
//
//	nft add table ip demo
//	nft add chain ip demo in '{ type filter hook input priority 0; }'
//	nft add rule ip demo in udp dport 53 queue to 7
//
// the following program drops DNS queries over IPv4 with more than 512 bytes of data:
//
//	package main
//
//	import (
//		"context"
//		"log"
//
//		"github.com/nfpacket/nfpacket/nfqueue"
//	)
//
//	func main() {
//		q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer q.Close()
//		err = q.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
//			if p.Len > 28+512 { // after the headers of IPv4 and UDP
//				return nfqueue.Drop()
//			}
//			return nfqueue.Accept()
//		})
//		log.Fatal(err)
//	}
//
// Most programs need only [Queue.Run]. A handler that has to wait returns [Hold]
// and decides later through [Packet.Ticket], from any goroutine. A program with
// its own loop calls [Queue.Receive] and [Queue.Send]. [OpenRange] opens several
// queues, to use several processors. Package nfqueuetest runs handlers against a
// fake kernel, without privileges.
//
// The zero [Verdict] is Drop. A verdict skips the rest of the base chain that
// queued the packet: Accept continues with the next base chain, not with the next
// rule. docs/verdicts.md in the module's root describes each verdict, and which
// nft families can queue.
//
// # Lifetime
//
// A [Packet] and its slices are valid until the handler returns or, with Receive,
// until the next Receive with the same [Batch]. Their memory is then reused. On Linux
// it is not part of the Go heap. A slice used after the end of the lifetime may show
// the bytes of another packet; it never crashes the program. A slice alone does not
// extend the lifetime: keep the Packet or the Batch reachable while its slices are
// used. [Packet.Clone] copies a packet; a [Ticket] is a value that may be retained.
// With -race the old memory is overwritten, so that later use is noticed.
//
// A payload or link header passed to a verdict is copied when the handler returns,
// or by Send or SetVerdict. The buffer can be reused after that, and may be
// p.Payload, edited in place.
//
// # Concurrency
//
// All methods are safe for concurrent use; concurrent calls of Receive need a Batch
// each. A handler and OnError may call all of them but Shutdown, which waits for both.
// No lock is held while a handler or OnError runs. A Queue starts no goroutine for
// packets: Run calls the handler in the caller's goroutine, for one packet at a time,
// in the order in which the packets were queued. Several concurrent Runs share the
// packets and do not preserve their order.
//
// Verdicts are sent in the order in which they were given. The verdicts on
// packets that were received together are sent together. If the handler is
// slow, those that it has returned are sent after Config.FlushAfter.
//
// # Stopping
//
// When ctx is done, Run calls the handler for the packets it has already
// received, sends their verdicts and returns context.Cause(ctx). Run never
// returns nil. The queue stays bound, and packets wait for the next Run, until
// [Queue.Close]. Close unblocks all calls, which return net.ErrClosed, and the
// kernel drops the packets without a verdict. [Queue.Shutdown] closes the queue
// once all packets queued before the call have a verdict. Run has to continue
// for that: do not cancel its context before Shutdown returns.
// [Queue.SetVerdictAll] decides on all waiting packets at once.
//
//	if err := q.Run(ctx, handler); ctx.Err() == nil {
//		log.Fatal(err) // not stopped by ctx
//	}
//
// # Errors and loss
//
// Run returns an error only if it cannot continue: the context is done, the queue is
// closed, a deadline passed, the socket failed, or the kernel refuses all verdicts, for
// example after the program dropped CAP_NET_ADMIN. Everything else is reported to
// Config.OnError and counted in [Stats]. Config.Fallback, by default Drop, is the
// verdict on a packet that cannot be parsed, whose verdict is refused, or whose handler
// panics. Errors that are returned or passed to Config.OnError wrap those that this
// documentation names: test them with errors.Is and errors.As.
//
// A program that reads too slowly loses packets: when the receive buffer is full the
// kernel drops them, or accepts them with Config.FailOpen. Stats.Lost counts both
// exactly. docs/verdicts.md lists the other ways to lose a packet, and those that
// nothing counts.
//
// # Rewriting
//
// [Verdict.WithPayload] replaces a packet and sets its lengths and checksums. It is
// refused where the kernel is known to drop the result. Without Config.Segment
// packets may be up to 64 KiB long and have no checksums yet. docs/rewriting.md lists
// which packets can be rewritten, and the cases that cannot be detected.
//
// # Requirements
//
// Open, and every verdict, need CAP_NET_ADMIN in the user namespace that owns the
// network namespace: as root, in a container with --cap-add NET_ADMIN, or under
// unshare -Urn. Config.Socket.NetNS selects another network namespace.
// SECURITY.md lists the privileges that each call needs.
//
// Linux 5.10 or later is required. docs/kernels.md lists what differs by version.
// The package compiles on all systems except Plan 9; on systems other than Linux
// Open returns an error that matches errors.ErrUnsupported.
package nfqueue
