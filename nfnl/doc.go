// Package nfnl builds and parses nfnetlink messages and carries them over a
// netlink socket. Packages nfqueue and nflog are built on it; programs that
// want packets import those.
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
// Everything is in host byte order but resource, which is in network byte
// order: the queue number or log group. A datagram holds one or more messages,
// each starting at a multiple of four bytes; see package attr for what is in
// the attributes.
//
// A [Conn] is a socket and a [Batch] the buffers of one Receive:
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
//		// one message of the kernel; valid until the next Receive with b
//	})
//	for {
//		if err := c.Receive(b); err != nil {
//			return err
//		}
//	}
//
// Requests are answered on the socket on which packets arrive. Conn separates the
// two, with any number of concurrent calls of Request and Receive.
//
// A full receive buffer is not an error of Receive: the kernel drops datagrams that do
// not fit, and Conn.Drops counts them. Packets have numbers, from whose gaps nfqueue and
// nflog know exactly how many were lost.
package nfnl
