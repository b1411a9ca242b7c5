//go:build linux

package rewrite

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// addOne is a handler that adds 1 to every byte of TCP data. It counts the GSO
// packets among those.
func addOne(gso *atomic.Int64) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		data := endtoend.TCPSegmentOf(p.Payload).Data()
		if len(data) == 0 {
			return nfqueue.Accept()
		}
		if p.GSO {
			gso.Add(1)
		}
		endtoend.AddToEach(data, 1)
		return nfqueue.Accept().WithPayload(p.Payload)
	}
}

// Both directions of a connection go through the queue, as whole GSO packets.
func TestRewrittenTCPStreamArrives(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		testkit.Must(t, n.SetMTU("lo", 32000)) // else packets are longer than any CopyRange
		var refused testkit.Errors
		q := endtoend.OpenQueue(t, n, nfqueue.Config{OnError: refused.Add})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
		var gso atomic.Int64
		endtoend.RunQueue(t, q, addOne(&gso))
		client, server := endtoend.TCPPair(t, n, n, v.Address())

		b := endtoend.RandomBytes(3<<20 + 1)
		endtoend.WantStream(t, client, server, b, 1)
		endtoend.WantStream(t, server, client, b, 1)
		if len(refused.All()) > 0 {
			t.Errorf("%d errors, first %v", len(refused.All()), refused.All()[0])
		}
	})
}

// Options may come and go without a change of sequence numbers: a packet grows
// or shrinks, and the connection goes on.
func TestTCPOptionsMayChangeThePacketsLength(t *testing.T) {
	endtoend.NeedRewriting(t)
	for name, rewrite := range map[string]func(endtoend.TCPSegment) []byte{
		"all taken from SYN": func(s endtoend.TCPSegment) []byte {
			if !s.Syn() {
				return s.Packet
			}
			s.TCP[12] = 5 << 4
			return s.Packet[:len(s.Packet)-len(s.TCP)+20]
		},
		"four bytes more in every segment": func(s endtoend.TCPSegment) []byte {
			const noop = 1
			at := len(s.Packet) - len(s.Data())
			longer := append(bytes.Clone(s.Packet[:at]), noop, noop, noop, noop)
			longer = append(longer, s.Data()...)
			endtoend.TCPSegmentOf(longer).TCP[12] += 1 << 4
			return longer
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			testkit.Must(t, n.SetMTU("lo", 1500))
			q := endtoend.OpenQueue(t, n, nfqueue.Config{Segment: true})
			endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				return nfqueue.Accept().WithPayload(rewrite(endtoend.TCPSegmentOf(p.Payload)))
			})
			client, server := endtoend.TCPPair(t, n, n, endtoend.IPv4.Address())
			testkit.Must(t, n.SetMTU("lo", 9000)) // full segments need room to grow
			endtoend.WantStream(t, client, server, endtoend.RandomBytes(100_000), 0)
			endtoend.WantStream(t, server, client, endtoend.RandomBytes(100_000), 0)
		})
	}
}

// lengthen returns a handler that puts extra before the first data that goes to
// port 9999, and keeps the sequence numbers of both directions right.
func lengthen(extra string) nfqueue.Handler {
	var first uint32 // sequence number of the data
	found := false
	more := uint32(len(extra))
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		s := endtoend.TCPSegmentOf(p.Payload)
		toServer := binary.BigEndian.Uint16(s.TCP[2:]) == 9999
		if toServer && !found && len(s.Data()) > 0 {
			first, found = s.Seq(), true
		}
		switch {
		case !found:
		case toServer && s.Seq() == first && len(s.Data()) > 0:
			head := p.Payload[:len(p.Payload)-len(s.Data())]
			return nfqueue.Accept().WithPayload(append(append(bytes.Clone(head), extra...), s.Data()...))
		case toServer && int32(s.Seq()-first) > 0:
			s.SetSeq(s.Seq() + more)
		case !toServer && int32(s.Ack()-first) > 0:
			s.SetAck(s.Ack() - more)
		}
		return nfqueue.Accept().WithPayload(p.Payload)
	}
}

// What Verdict.WithPayload leaves to the program can be done.
func TestTCPDataMayGrowIfSequenceNumbersFollow(t *testing.T) {
	endtoend.NeedRewriting(t)
	n := endtoend.NewNet(t)
	testkit.Must(t, n.SetMTU("lo", 1500))
	q := endtoend.OpenQueue(t, n, nfqueue.Config{})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
	endtoend.RunQueue(t, q, lengthen("before all else, "))
	client, server := endtoend.TCPPair(t, n, n, endtoend.IPv4.Address())

	for _, w := range []struct {
		from, to  net.Conn
		say, hear string
	}{
		{client, server, "hello", "before all else, hello"},
		{server, client, "good day", "good day"},
		{client, server, "goodbye", "goodbye"},
	} {
		endtoend.Send(t, w.from, w.say)
		got := make([]byte, len(w.hear))
		_, err := io.ReadFull(w.to, got)
		testkit.Must(t, err)
		if string(got) != w.hear {
			t.Errorf("heard %q, want %q", got, w.hear)
		}
	}
	// The end of the connection has a sequence number too.
	testkit.Must(t, client.Close())
	if n, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d bytes, %v, want the end", n, err)
	}
}
