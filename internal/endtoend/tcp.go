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
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// A TCPSegment gives access to the TCP segment in an IPv4 or IPv6 packet without
// options or extension headers.
type TCPSegment struct {
	Packet []byte
	TCP    []byte // from the TCP header on
}

// TCPSegmentOf returns the segment in a packet.
func TCPSegmentOf(packet []byte) TCPSegment {
	if packet[0]>>4 == 6 {
		return TCPSegment{packet, packet[40:]}
	}
	return TCPSegment{packet, packet[20:]}
}

// Seq returns the sequence number.
func (s TCPSegment) Seq() uint32 { return binary.BigEndian.Uint32(s.TCP[4:]) }

// Ack returns the acknowledgement number.
func (s TCPSegment) Ack() uint32 { return binary.BigEndian.Uint32(s.TCP[8:]) }

// Syn reports whether the flag SYN is set.
func (s TCPSegment) Syn() bool { return s.TCP[13]&2 != 0 }

// Data returns what follows the header.
func (s TCPSegment) Data() []byte { return s.TCP[int(s.TCP[12]>>4)*4:] }

// SetSeq changes the sequence number.
func (s TCPSegment) SetSeq(seq uint32) { binary.BigEndian.PutUint32(s.TCP[4:], seq) }

// SetAck changes the acknowledgement number.
func (s TCPSegment) SetAck(ack uint32) { binary.BigEndian.PutUint32(s.TCP[8:], ack) }

// TCPPair returns both ends of a connection from one namespace to an address in
// another.
func TCPPair(t testing.TB, from, to *lab.Net, address string) (client, server net.Conn) {
	t.Helper()
	l, err := to.Listen("tcp", address)
	testkit.Must(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	client, err = from.Dial("tcp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { client.Close() })
	if server = testkit.Next(t, accepted); server == nil {
		t.Fatal("no connection")
	}
	t.Cleanup(func() { server.Close() })
	deadline := time.Now().Add(testkit.Patience)
	testkit.Must(t, client.SetDeadline(deadline))
	testkit.Must(t, server.SetDeadline(deadline))
	return client, server
}

// noise is what tests send: the same in every run, and not to be changed.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
})

// RandomBytes returns the first n bytes of noise.
func RandomBytes(n int) []byte { return noise()[:n] }

// WantStream sends b from one end to the other and checks what arrives: b with
// add added to every byte.
func WantStream(t *testing.T, from, to net.Conn, b []byte, add byte) {
	t.Helper()
	sent := testkit.Background(func() error {
		_, err := from.Write(b)
		return err
	})
	got := make([]byte, len(b))
	_, err := io.ReadFull(to, got)
	testkit.Must(t, err)
	testkit.Must(t, testkit.Next(t, sent))
	want := bytes.Clone(b)
	AddToEach(want, add)
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Errorf("%d bytes arrived changed, first at %d", len(b), firstDifference(got, want))
	}
}

// AddToEach adds a number to each byte.
func AddToEach(b []byte, add byte) {
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
