// Package nflog receives copies of packets that netfilter rules log.
//
// With this rule in place
//
//	nft add rule ip filter input log prefix '"in "' group 5
//
// the following program prints where packets come from:
//
//	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	for p, err := range r.Packets(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Printf("%s%v: %d bytes\n", p.Prefix, p.HardwareAddr, len(p.Payload))
//	}
//
// Open needs CAP_NET_ADMIN over the network namespace; reading needs nothing.
// Logging never touches the packet itself: it goes on its way whether anybody
// reads the group or not. To decide on packets use package nfqueue.
//
// # What people get wrong
//
// Lifetime. A [Packet] and the slices in it are valid until the next iteration
// of [Reader.Packets], or until the next [Reader.Receive] with the same
// [Batch]; their memory is then used again. [Packet.Clone] keeps one longer. In
// builds with -race the old memory is overwritten, so that a slice kept too
// long shows up as garbage at once.
//
// Latency. The kernel collects packets of a group and delivers them together.
// Left alone it may take a second; here it takes 10 ms, see Config.Collect.
// Config.Threshold 1 delivers each packet at once, for a system call each. A
// large Threshold with a long Collect is the way to log a lot cheaply.
//
// Loss. A program that reads too slowly loses packets, whole datagrams of them,
// and the kernel says nothing. The sequence numbers tell: Config.OnError gets
// an *nfnl.OverrunError for every gap, and [Stats] counts them. A gap shows
// when the next packet of the group comes, so of the last packets
// Stats.SocketDrops is the only hint. Loss never ends a loop. Raise
// Config.Socket.ReadBuffer, or lower Config.CopyRange.
//
// Group numbers. A group has one reader in a network namespace; a second Open
// fails with [ErrTaken]. Group 0 is special: iptables rules that name no group, and the
// kernel's own messages about invalid packets, may end up there. The packet
// does not tell which rule logged it; give rules a prefix of their own.
//
// PF_BIND. Other libraries bind to a protocol family first. That makes the
// program the namespace's logger for the kernel's own messages, stays in force
// after it has ended, and is not needed for rules. This package never does it.
//
// # Goroutines
//
// Any method may be called from any goroutine at any time; concurrent calls of
// Receive each need a Batch of their own. The package starts no goroutine. No
// lock is held while the body of a loop or OnError runs, and both may call any
// method, Close included.
//
// # Platforms
//
// The package compiles everywhere, so that programs and their tests can be
// written everywhere: package nflogtest has a kernel that is a fake. Open works
// on Linux; elsewhere its error matches errors.ErrUnsupported.
package nflog
