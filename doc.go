// Package nfpacket has no code of its own. It is the root of Go packages for
// packets that Linux hands to user space:
//
//   - [github.com/nfpacket/nfpacket/nfqueue]: NFQUEUE, packets that wait for a
//     verdict. Start here to accept, drop, mark or rewrite packets.
//   - [github.com/nfpacket/nfpacket/nflog]: NFLOG, copies of packets. Start here to
//     watch traffic.
//   - [github.com/nfpacket/nfpacket/nfqueue/nfqueuetest] and
//     [github.com/nfpacket/nfpacket/nflog/nflogtest]: a fake kernel, for tests of
//     programs that use them, on any system and without privileges.
//   - [github.com/nfpacket/nfpacket/nfnl]: the nfnetlink socket and its messages,
//     names of interfaces, and the headers of a packet. Both packages above are
//     built on it.
//   - [github.com/nfpacket/nfpacket/attr]: netlink attributes, and connection
//     tracking entries as Go values.
//
// All packages are pure Go. They compile on all systems except Plan 9 and work on
// Linux 5.10 or later. The README shows whole programs, and
//
//	go run github.com/nfpacket/nfpacket/examples/demo@latest
//
// shows the packages at work on real packets, without root, in network namespaces
// of its own.
package nfpacket
