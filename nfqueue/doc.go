// Package nfqueue receives the packets that netfilter rules queue, and tells
// the kernel what to do with each: let it go on, drop it, change it.
//
// With this rule in place
//
//	nft add table inet demo
//	nft add chain inet demo in '{ type filter hook input priority 0; }'
//	nft add rule inet demo in udp dport 53 queue to 7
//
// the following program drops the DNS queries above 512 bytes:
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
// [Queue.Run] is what most programs want. A handler that has to wait for
// something returns [Hold] and answers through [Packet.Ticket], from any
// goroutine. [Queue.Receive] and [Queue.Send] are for programs with a loop of
// their own, and [OpenRange] is for more than one processor. A handler can be
// tested without privileges: see package nfqueuetest.
//
// Packets can be queued in chains of nft's families ip, ip6, inet and bridge. A
// queue rule in the families arp and netdev is refused with "Operation not
// supported"; kernels before 5.19 take it.
//
// # Where a packet goes
//
// A verdict ends the packet's way through the base chain whose rule queued it,
// and through all chains that one jumped to:
//
//   - [Drop]: the packet is gone. Its sender is not told.
//   - [Accept]: on to the next base chain at the same hook, in the order of their
//     priorities, and after the last of them on its way. The rules behind the
//     queue rule are not looked at: Accept does not resume the chain. Chains of
//     type nat have fixed places, -100 and 100, whatever priority they name.
//   - [Stop]: on its way at once, past all other base chains of the hook.
//   - [Repeat]: back to the start of the same base chain, and so to the queue
//     rule, with a new ID. To go on with the rules behind it, set a bit of the mark
//     that the queue rule does not match: return Repeat().WithMark(p.Mark | 1), and
//     in nft: meta mark & 1 == 0 queue to 7.
//   - [Requeue]: into another queue, of this program or another. Without a
//     listener there it is dropped; with [RequeueOrAccept] it is accepted.
//   - [Hold]: nowhere, until [Ticket.SetVerdict]; with [HoldFor] not for ever.
//
// The mark that [Verdict.WithMark] sets is seen by whatever comes later:
// other base chains, other queues, routing, traffic control. At the output hook
// a changed mark makes the kernel route the packet again, with Accept and Repeat
// only. It replaces the whole mark; to change some bits, take the others from
// Packet.Mark.
//
// What a handler sees of a datagram that travels in fragments depends on the hook:
// see docs/recipes.md, which also has the rules for rejecting packets, for a
// program's own packets, and for the first packets of a connection.
//
// # Lifetime
//
// A [Packet] and the slices in it are valid until the handler returns, or until
// the next Receive with the same [Batch]; their memory is then used again. On Linux
// it is not the garbage collector's: a slice alone does not keep it, the Packet or
// the Batch does. [Packet.Clone] keeps one longer; a [Ticket] is a value and can be kept as it
// is. A payload or link header given to a verdict is copied when the handler
// returns, or in Send or SetVerdict, so one buffer serves for all. It may also
// be p.Payload, edited in place. In builds with -race the old memory is
// overwritten, so that a slice kept too long shows up as garbage at once.
//
// # Concurrency
//
// Any method may be called from any goroutine at any time, also from handlers
// and OnError; concurrent calls of Receive each need a Batch of their own. No
// lock is held while a handler or OnError runs. A queue has no goroutine: the
// handler runs on that of Run, one packet after the other, in the order in which
// they were queued. Several Runs share the packets, and lose the order. Better
// are several queues with a goroutine each, between which the rule spreads the
// packets: see [OpenRange].
//
// Verdicts of packets that came together are returned together. They do not
// wait for a handler that takes its time (see Config.FlushAfter), but the
// packets behind it do. They go out in the order in which they were given: that of
// a ticket, or of a deadline, behind all that handlers had returned.
//
// # Stopping
//
// When its context is done Run finishes the packets it has and returns
// context.Cause; it never returns nil. A program that ends with its context, as on
// a signal, says so with
//
//	if err := q.Run(ctx, handler); ctx.Err() == nil {
//		log.Fatal(err)
//	}
//
// (with Go 1.26.0 to 1.26.3 the cause of signal.NotifyContext is not
// context.Canceled: ask the context). The queue stays bound, and holds packets
// for the next Run, until [Queue.Close], which makes everything that waits
// return net.ErrClosed. The kernel then drops what has no verdict.
//
// [Queue.Shutdown] loses nothing: beside a Run it waits until the handlers have
// decided on all that is queued, and closes the queue then. [Queue.SetVerdictAll]
// decides on all that waits, also on what a program before received from the same
// socket, as after a restart that keeps it (examples/handover). A rule
// with the bypass flag ("queue flags bypass") lets packets through while no
// program has the queue.
//
// # Errors
//
// What ends Run is returned: the context's cause, net.ErrClosed,
// os.ErrDeadlineExceeded, what the socket says, and the kernel's refusal to take
// any more verdicts, because the program gave up its privilege or the queue was
// taken away. All else is reported to Config.OnError and counted in [Stats], and Run
// goes on. No packet is left without an answer: Config.Fallback, which by default
// drops, is given to one that could not be parsed, whose verdict was refused, or
// whose handler panicked. Where it is unclear what to do with a packet, it is
// dropped: the zero [Verdict] is Drop.
//
// # Loss
//
// Packets can be lost in these places:
//
//   - No program has the queue: dropped by the kernel, unless the rule has the
//     bypass flag. Nothing counts them.
//   - The socket's receive buffer is full, since the program reads too slowly:
//     dropped, or accepted with Config.FailOpen. Config.OnError gets an
//     *nfnl.OverrunError when the next packet comes, and Stats.Lost and
//     Stats.Bypassed count them exactly. A larger Config.Socket.ReadBuffer lasts
//     longer, at the price of memory: see docs/memory.md in the module's root.
//   - The queue is full, Config.MaxLen. With the defaults the receive buffer is full
//     first. Packets are dropped: Stats.Full counts them, and OnError gets an
//     *nfnl.OverrunError at most once a second, if the file that [KernelStats] come
//     from can be read. With FailOpen they are accepted, and nothing counts them.
//   - The kernel has no memory for the message: dropped, also with FailOpen, and
//     nothing counts them.
//   - A device goes down, or anybody deletes a base chain in the network
//     namespace, as firewalls do when they load new rules: the kernel drops what
//     is queued. The verdict then comes too late; OnError gets [ErrPacketGone],
//     and Stats.Gone counts it.
//
// # Checksums and large packets
//
// [Verdict.WithPayload] sends a copy with lengths and checksums set, and refuses
// what would be lost. docs/rewriting.md in the module's root is the table of it:
// which rewrite of which packet arrives, what to do about each error, and what
// cannot be refused. [Verdict.WithRawPayload] sends what it is given.
//
// By default packets come as the kernel has them. One of a local sender may have
// a checksum that is yet to be computed ([Packet] ChecksumPending: do not verify
// it), and one of TCP or QUIC may be up to 64 KiB long (GSO), to be cut into
// segments later. That is much cheaper, and right for a program that looks at
// packets, or rewrites TCP without making it shorter. With Config.Segment packets
// are as long as the device sends, and their checksums are computed; IP fragments
// are made later.
//
// # Privileges
//
// Open, and every verdict, need CAP_NET_ADMIN over the network namespace: that of
// root, of a container with --cap-add NET_ADMIN, or of a user namespace that owns
// the network namespace (unshare -Urn). It cannot be given up later. Queues belong
// to a network namespace; Config.Socket.NetNS names another than the program's.
// SECURITY.md in the module's root lists what each call needs, what is
// guaranteed against whom, and what becomes of packets under which fault.
//
// # Kernels
//
// Linux 5.10 and later will do. Where a packet would be dropped silently the
// verdict is refused: see [ErrGSO], [ErrTunnel], [ErrFragment] and
// [ErrRewriteForbidden]. These cannot be refused; docs/rewriting.md and SECURITY.md
// say what to do:
//
//   - With Config.Segment, a large packet that begins a tracked connection is
//     dropped before it is queued by kernels with CVE-2026-45859 (6.11 to 6.19, and
//     others that got the change), and all segments are lost at the hooks
//     prerouting and input where a tunnel of IP in IP ends.
//   - A rewrite above the MTU of its way, or to an address without a route, is lost.
//   - UDP GSO that is rewritten in front of a NAT arrives with wrong checksums,
//     unless Config.Conntrack shows the NAT.
//   - Answers to a new destination belong to no tracked connection.
//   - Flow offload takes connections past the queue.
//   - Before 7.0, except in late releases of 6.12, 6.18 and 6.19, a verdict looks
//     for its packet from the oldest on: with thousands held, answer the oldest first.
//
// # Platforms
//
// The package compiles for every system but Plan 9, so that programs and their
// tests can be written everywhere. Open works on Linux; elsewhere its error matches
// errors.ErrUnsupported.
package nfqueue
