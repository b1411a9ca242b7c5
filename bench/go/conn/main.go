// Conn is a loop over mdlayher/netlink's Receive and Send, as Go programs with
// no library for queues are written: one packet, one verdict.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Types of nfnetlink_queue.h.
const (
	typePacket  netlink.HeaderType = unix.NFNL_SUBSYS_QUEUE << 8
	typeVerdict netlink.HeaderType = unix.NFNL_SUBSYS_QUEUE<<8 | 1

	attrPacketHeader  = 1
	attrVerdictHeader = 2

	accepted = 1 // NF_ACCEPT
)

func main() {
	o := subject.Parse()
	ctx, cancel := subject.Context()
	defer cancel()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	subject.Must(err)
	defer c.Close()
	subject.Must(c.SetOption(netlink.NoENOBUFS, true))
	subject.Must(c.SetReadBuffer(o.Buffer))
	bind(c, o)
	granted, err := c.ReadBuffer()
	subject.Must(err)
	context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })

	subject.AwaitStart(granted)
	m := subject.Start(o)
	done, calls := 0, 0
	for o.Count == 0 || done < o.Count {
		msgs, err := c.Receive()
		if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		subject.Must(err)
		for _, msg := range msgs {
			accept(c, o.Queue, msg)
		}
		done += len(msgs)
		calls += 1 + len(msgs)
	}
	m.Report(done, calls)
}

// bind sets up the queue with the message that nfqueue would send.
func bind(c *netlink.Conn, o subject.Options) {
	m, err := nfqueue.Config{Queue: o.Queue, MaxLen: o.MaxLen}.Bind()
	subject.Must(err)
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(m.Type), Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(nfgenmsg(o.Queue), m.Attrs...),
	})
	subject.Must(err)
}

// nfgenmsg returns the header of all nfnetlink messages: family, version and
// queue.
func nfgenmsg(queue uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, queue)
}

// accept finds the packet's ID and sends the verdict.
func accept(c *netlink.Conn, queue uint16, msg netlink.Message) {
	if msg.Header.Type != typePacket {
		subject.Must(errors.New("expected a packet"))
	}
	ad, err := netlink.NewAttributeDecoder(msg.Data[4:])
	subject.Must(err)
	var id []byte
	for ad.Next() {
		if ad.Type() == attrPacketHeader {
			id = ad.Bytes()[:4]
		}
	}
	subject.Must(ad.Err())
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(attrVerdictHeader, append([]byte{0, 0, 0, accepted}, id...))
	attrs, err := ae.Encode()
	subject.Must(err)
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: typeVerdict, Flags: netlink.Request},
		Data:   append(nfgenmsg(queue), attrs...),
	})
	subject.Must(err)
}
