//go:build linux

package endtoend

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A segment gives access to the TCP segment in an IPv4 or IPv6 packet without
// options or extension headers.
type segment struct {
	packet []byte
	tcp    []byte // from the TCP header on
}

func segmentOf(packet []byte) segment {
	if packet[0]>>4 == 6 {
		return segment{packet, packet[40:]}
	}
	return segment{packet, packet[20:]}
}

func (s segment) seq() uint32  { return binary.BigEndian.Uint32(s.tcp[4:]) }
func (s segment) ack() uint32  { return binary.BigEndian.Uint32(s.tcp[8:]) }
func (s segment) header() int  { return int(s.tcp[12]>>4) * 4 }
func (s segment) syn() bool    { return s.tcp[13]&2 != 0 }
func (s segment) data() []byte { return s.tcp[s.header():] }

func (s segment) setSeq(seq uint32) { binary.BigEndian.PutUint32(s.tcp[4:], seq) }
func (s segment) setAck(ack uint32) { binary.BigEndian.PutUint32(s.tcp[8:], ack) }

// tcpPair returns both ends of a connection to address, which is in the
// namespace to.
func tcpPair(t testing.TB, from, to *lab.Net, address string) (client, server net.Conn) {
	t.Helper()
	l, err := to.Listen("tcp", address)
	must(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	client, err = from.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	if server = next(t, accepted); server == nil {
		t.Fatal("no connection")
	}
	t.Cleanup(func() { server.Close() })
	deadline := time.Now().Add(patience)
	must(t, client.SetDeadline(deadline))
	must(t, server.SetDeadline(deadline))
	return client, server
}

// noise is what tests send: the same in every run, and not to be changed.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
})

// randomBytes returns the first n bytes of noise.
func randomBytes(n int) []byte { return noise()[:n] }

// wantStream sends b from one end to the other and checks what arrives: b with
// add added to every byte.
func wantStream(t *testing.T, from, to net.Conn, b []byte, add byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(b)
		sent <- err
	}()
	got := make([]byte, len(b))
	_, err := io.ReadFull(to, got)
	must(t, err)
	must(t, next(t, sent))
	want := bytes.Clone(b)
	addTo(want, add)
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Errorf("%d bytes arrived changed, first at %d", len(b), firstDifference(got, want))
	}
}

func addTo(b []byte, add byte) {
	for i := range b {
		b[i] += add
	}
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// addOne is a handler that adds 1 to every byte of TCP data. It counts the GSO
// packets among those.
func addOne(gso *atomic.Int64) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		data := segmentOf(p.Payload).data()
		if len(data) == 0 {
			return nfqueue.Accept()
		}
		if p.GSO {
			gso.Add(1)
		}
		addTo(data, 1)
		return nfqueue.Accept().WithPayload(p.Payload)
	}
}

// Both directions of a connection go through the queue, as whole GSO packets.
func TestRewrittenTCPStreamArrives(t *testing.T) {
	needRewriting(t)
	eachVersion(t, func(t *testing.T, v ipVersion) {
		n := newNet(t)
		must(t, n.SetMTU("lo", 32000)) // else packets are longer than any CopyRange
		var refused collector
		q := openQueue(t, n, nfqueue.Config{OnError: refused.add})
		addRule(t, n, v.family, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
		var gso atomic.Int64
		runQueue(t, q, addOne(&gso))
		client, server := tcpPair(t, n, n, v.address())

		b := randomBytes(3<<20 + 1)
		wantStream(t, client, server, b, 1)
		wantStream(t, server, client, b, 1)
		if len(refused.errs) > 0 {
			t.Errorf("%d errors, first %v", len(refused.errs), refused.errs[0])
		}
	})
}

// Options may come and go without a change of sequence numbers: a packet grows
// or shrinks, and the connection goes on.
func TestTCPOptionsMayChangeThePacketsLength(t *testing.T) {
	needRewriting(t)
	for name, rewrite := range map[string]func(segment) []byte{
		"all taken from SYN": func(s segment) []byte {
			if !s.syn() {
				return s.packet
			}
			s.tcp[12] = 5 << 4
			return s.packet[:len(s.packet)-len(s.tcp)+20]
		},
		"four bytes more in every segment": func(s segment) []byte {
			const noop = 1
			at := len(s.packet) - len(s.data())
			longer := append(bytes.Clone(s.packet[:at]), noop, noop, noop, noop)
			longer = append(longer, s.data()...)
			segmentOf(longer).tcp[12] += 1 << 4
			return longer
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t)
			must(t, n.SetMTU("lo", 1500))
			q := openQueue(t, n, nfqueue.Config{Segment: true})
			addRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
			runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				return nfqueue.Accept().WithPayload(rewrite(segmentOf(p.Payload)))
			})
			client, server := tcpPair(t, n, n, ipv4.address())
			must(t, n.SetMTU("lo", 9000)) // full segments need room to grow
			wantStream(t, client, server, randomBytes(100_000), 0)
			wantStream(t, server, client, randomBytes(100_000), 0)
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
		s := segmentOf(p.Payload)
		toServer := binary.BigEndian.Uint16(s.tcp[2:]) == 9999
		if toServer && !found && len(s.data()) > 0 {
			first, found = s.seq(), true
		}
		switch {
		case !found:
		case toServer && s.seq() == first && len(s.data()) > 0:
			head := p.Payload[:len(p.Payload)-len(s.data())]
			return nfqueue.Accept().WithPayload(append(append(bytes.Clone(head), extra...), s.data()...))
		case toServer && int32(s.seq()-first) > 0:
			s.setSeq(s.seq() + more)
		case !toServer && int32(s.ack()-first) > 0:
			s.setAck(s.ack() - more)
		}
		return nfqueue.Accept().WithPayload(p.Payload)
	}
}

// What Verdict.WithPayload leaves to the program can be done.
func TestTCPDataMayGrowIfSequenceNumbersFollow(t *testing.T) {
	needRewriting(t)
	n := newNet(t)
	must(t, n.SetMTU("lo", 1500))
	q := openQueue(t, n, nfqueue.Config{})
	addRule(t, n, lab.IPv4, lab.Output, lab.L4(unix.IPPROTO_TCP), lab.Queue(0))
	runQueue(t, q, lengthen("before all else, "))
	client, server := tcpPair(t, n, n, ipv4.address())

	for _, w := range []struct {
		from, to  net.Conn
		say, hear string
	}{
		{client, server, "hello", "before all else, hello"},
		{server, client, "good day", "good day"},
		{client, server, "goodbye", "goodbye"},
	} {
		send(t, w.from, w.say)
		got := make([]byte, len(w.hear))
		_, err := io.ReadFull(w.to, got)
		must(t, err)
		if string(got) != w.hear {
			t.Errorf("heard %q, want %q", got, w.hear)
		}
	}
	// The end of the connection has a sequence number too.
	must(t, client.Close())
	if n, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d bytes, %v, want the end", n, err)
	}
}
