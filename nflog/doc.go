// Package nflog receives copies of packets that netfilter rules log.
//
// With this rule in place
//
//	nft add table ip demo
//	nft add chain ip demo in '{ type filter hook input priority 0; }'
//	nft add rule ip demo in log prefix '"in "' group 5
//
// the following program prints a line for each incoming packet:
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
// Most programs need only [Reader.Packets]. A program with its own loop calls
// [Reader.Receive]. Package nflogtest runs programs against a fake kernel, without
// privileges. Logging does not affect the packet, whether or not a program reads the
// group. Package nfqueue decides on packets.
//
// # Lifetime
//
// A [Packet] and its slices are valid until the next iteration or, with Receive,
// until the next Receive with the same [Batch]. Their memory is then reused. On Linux
// it is not part of the Go heap. A slice used after the end of the lifetime may show
// the bytes of another packet; it never crashes the program. A slice alone does not
// extend the lifetime: keep the Packet or the Batch reachable while its slices are
// used. [Packet.Clone] copies a packet. With -race the old memory is overwritten, so
// that later use is noticed.
//
// # Latency
//
// The kernel collects the packets of a group and delivers several in one datagram.
// Its own default is to wait up to one second; this package sets 10 ms
// (Config.FlushTimeout). With Config.Threshold 1 each packet is delivered at once,
// at the cost of one wakeup per packet.
//
// # Loss
//
// A program that reads too slowly loses whole datagrams of packets, and the kernel does
// not report it. The package detects loss from gaps in the sequence numbers.
// Config.OnError gets an error that wraps an *nfnl.OverrunError with the group, once
// for each receive that finds a gap, and [Stats] and [Reader.GroupStats] count the
// packets exactly. A gap is detected when the next packet of the group is received;
// until then only Stats.SocketDrops shows the loss. Loss does not end a loop. To avoid
// it, raise Config.Socket.ReadBuffer or lower Config.CopyRange.
//
// The groups of one Reader share its receive buffer: a flood of packets in one
// group causes loss in the others. Open a separate Reader for a group that must not
// be affected.
//
// # Groups
//
// A group has one reader in a network namespace; a second Open fails with [ErrTaken].
// Rules of iptables that name no group use group 0, and so does the kernel itself where
// NFLOG is its logger (Reader.SetNamespaceLogger). A packet does not identify the rule
// that logged it, so give each rule its own prefix.
//
// Rules do not need the command PF_BIND, which other libraries send when they open
// a group. This package sends it only in [Reader.SetNamespaceLogger].
//
// # Concurrency
//
// All methods are safe for concurrent use; concurrent calls of Receive need a Batch
// each. The body of a loop and OnError may call all of them but Shutdown, which waits
// for both. No lock is held while the body or OnError runs. A Reader starts no
// goroutine for packets. [Reader.Configure] changes open groups, and keeps packets that
// arrive meanwhile, up to a limit.
//
// # Stopping
//
// When ctx is done, a loop over Packets yields the packets it has received and
// ends with context.Cause(ctx). The groups stay bound, and packets wait in the
// receive buffer for the next loop. [Reader.Shutdown] unbinds the groups, waits
// until a loop has yielded the remaining packets, and closes the Reader. The
// loop has to continue for that: do not cancel its context before Shutdown
// returns. [Reader.Close] unblocks all calls at once, which return
// net.ErrClosed; Stats.Discarded counts the packets that were received and not
// yielded.
//
// # Event loops
//
// Poll the descriptor of [Reader.SyscallConn] for reading. When it is readable, call
// [Reader.TryReceive] until it returns no packets. The descriptor is also readable
// while the Reader buffers packets, for example those that a loop over Packets left.
//
// # Requirements
//
// Open needs CAP_NET_ADMIN in the user namespace that owns the network namespace:
// as root, in a container with --cap-add NET_ADMIN, or under unshare -Urn. Reading
// needs no privilege, so a program may drop it after Open; Configure and
// SetNamespaceLogger then fail, and Shutdown cannot unbind the groups before it
// waits. A program without the privilege can read from a socket that another
// process has bound, for example the program that it replaces: see [nfnl.FileConn]
// and [AdoptConn]. Config.Socket.NetNS selects another network namespace.
// SECURITY.md lists the privileges that each call needs.
//
// Linux 5.10 or later is required. docs/kernels.md lists what differs by version.
// The package compiles on all systems except Plan 9; on systems other than Linux
// Open returns an error that matches errors.ErrUnsupported.
package nflog
