// Package nflog receives copies of packets that netfilter rules log.
//
// With this rule in place
//
//	nft add rule ip filter input log prefix '"in "' group 5
//
// the following program prints what comes in:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"github.com/nfpacket/nfpacket/nflog"
//	)
//
//	func main() {
//		r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer r.Close()
//		for p, err := range r.Packets(context.Background()) {
//			if err != nil {
//				log.Fatal(err)
//			}
//			fmt.Printf("%s%v: %d bytes\n", p.Prefix, p.HardwareAddr, len(p.Payload))
//		}
//	}
//
// [Reader.Packets] is what most programs want; [Reader.Receive] is for programs
// with a loop of their own. What a program does with packets can be tested
// without privileges: see package nflogtest. Logging never touches the packet
// itself: it goes on its way whether anybody reads the group or not. To decide
// on packets use package nfqueue.
//
// # Lifetime
//
// A [Packet] and the slices in it are valid until the next iteration, or until
// the next Receive with the same [Batch]; their memory is then used again. On Linux
// it is not the garbage collector's: a slice alone does not keep it, the Packet or
// the Batch does. [Packet.Clone] keeps one longer. In builds with -race the old memory is
// overwritten, so that a slice kept too long shows up as garbage at once.
//
// # Latency
//
// The kernel collects packets of a group and delivers them together. Left alone
// it may take a second over that; here it takes 10 ms, see Config.FlushTimeout.
// Config.Threshold 1 delivers each packet at once, for a wakeup each. A large
// Threshold with a long FlushTimeout is the way to log a lot cheaply.
//
// # Loss
//
// A program that reads too slowly loses packets, whole datagrams of them, and
// the kernel reports nothing. Sequence numbers show it: Config.OnError gets an
// *nfnl.OverrunError with the group, once for each receive that finds packets
// missing, and [Stats] and [Reader.GroupStats] count the packets exactly. A gap
// shows when the next packet of the group comes, so for the last packets
// Stats.SocketDrops is the only hint. [Reader.KernelStats] shows who has a group
// and what is collected in it. Loss never ends a loop. Raise
// Config.Socket.ReadBuffer, or lower Config.CopyRange.
//
// The groups of one Reader share its receive buffer, so a flood of one loses
// packets of the others. Open a Reader of its own for a group that must not be
// disturbed.
//
// # Groups
//
// A group has one reader in a network namespace; a second Open fails with
// [ErrTaken]. Group 0 is special: iptables rules that name no group, and the
// kernel's own messages about invalid packets, end up there. A packet does not
// tell which rule logged it; give rules a prefix of their own.
//
// Other libraries bind to a protocol family first (PF_BIND). That makes NFLOG
// the namespace's logger for the kernel's own messages, stays in force after the
// program has ended, and is not needed for rules. This package does it only in
// [Reader.SetNamespaceLogger].
//
// # Logs and records
//
// A Packet is a slog.LogValuer and a json.Marshaler: who sends what to whom, by
// which interface, without its payload. [Packet.Named] shows interfaces by the
// names that [Reader.Links] knows.
//
// # Changes
//
// [Reader.Configure] changes open groups, at any time, and loses nothing.
//
// # Concurrency
//
// Any method may be called from any goroutine at any time, also from the body of
// a loop and from OnError; concurrent calls of Receive each need a Batch of
// their own. No lock is held while the body or OnError runs. A Reader has no
// goroutine.
//
// # Stopping
//
// When its context is done a loop over Packets yields what it has received, and
// ends with context.Cause. The groups stay bound, however a loop ends: what is
// logged then waits in the receive buffer for the next loop. To end without losing
// a packet call [Reader.Shutdown] beside the loop: it unbinds the groups, the loop
// yields what the kernel had collected, and ends with net.ErrClosed.
// [Reader.Close] makes everything that waits return net.ErrClosed at once, and no
// body begins any more; what was received and not handed out is
// Stats.Discarded.
//
// # Event loops
//
// Poll the descriptor of [Reader.SyscallConn], and when it is readable call
// [Reader.TryReceive] until it brings nothing. It is readable also while the
// program has packets that poll would not know of: those that were taken off the
// socket by Configure, and those that a loop over Packets has left behind.
//
// # Taking over
//
// A program that is replaced need not lose its log: a process that only keeps the
// socket hands it to the next one with [nfnl.FileConn] and [AdoptConn], which is
// given the numbers of the last packets that were recorded, so that what its
// predecessor took with it is counted as lost.
//
// # Privileges
//
// Open needs CAP_NET_ADMIN over the network namespace: that of root, of a
// container with --cap-add NET_ADMIN, or of a user namespace that owns the
// network namespace (unshare -Urn). Reading needs nothing, so a program may give
// the privilege up once its groups are open: all but Configure, Shutdown's
// unbinding and SetNamespaceLogger works without. It may never have had it, if
// another opens the socket and binds the groups: see [nfnl.FileConn] and
// [AdoptConn].
// Groups belong to a network namespace; Config.Socket.NetNS names another than
// the program's.
// SECURITY.md in the module's root lists what each call needs, what is
// guaranteed against whom, and what becomes of packets under which fault.
//
// # Platforms
//
// The package compiles for every system but Plan 9, so that programs and their
// tests can be written everywhere. Open works on Linux; elsewhere its error matches
// errors.ErrUnsupported.
package nflog
