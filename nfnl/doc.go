// Package nfnl encodes and decodes nfnetlink messages, and sends and receives them on
// a netlink socket. Packages nfqueue and nflog are built on it. To receive packets,
// use those packages; nfnl is for other subsystems of netfilter and for tests.
//
// A message is a netlink header, an nfnetlink header and attributes:
//
//	 0                   4         6         8                  12
//	+-------------------+---------+---------+-------------------+--
//	| length            | type    | flags   | sequence          |
//	+-------------------+----+----+---------+-------------------+--
//	 12                  16   17   18        20
//	--+-----------------+----+----+---------+----------------------+
//	  | port ID         |fam.|ver.|resource | attributes ...       |
//	--+-----------------+----+----+---------+----------------------+
//
// All fields are in host byte order, except resource (the queue number or log group),
// which is in network byte order. A datagram holds one or more messages, each
// starting at a multiple of four bytes; see package attr for the format of the
// attributes.
//
// A [Conn] is a socket. A [Batch] has the buffers of one Receive:
//
//	c, err := nfnl.Dial(nfnl.Config{})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	if err := c.Request(bind); err != nil { // an nfnl.Message
//		return err
//	}
//	b := nfnl.NewBatch(64, 72<<10, func(m nfnl.Message, err error) {
//		// a message from the kernel; valid until the next Receive with b
//	})
//	for {
//		if err := c.Receive(b); err != nil {
//			return err
//		}
//	}
//
// The kernel's answers to requests and the packets arrive on the same socket. Conn
// passes answers to Request and everything else to Receive, with any number of
// concurrent calls of each.
//
// A full receive buffer is not an error of Receive: the kernel drops datagrams that
// do not fit, and Conn.Drops counts them. nfqueue and nflog count the lost packets
// exactly, from gaps in the packets' sequence numbers.
package nfnl
