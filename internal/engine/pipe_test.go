package engine

import (
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestDeliverDoesNotWaitForTheReceiver(t *testing.T) {
	overTransports(t, func(k *kernel) {
		const n, size = 300, 16 << 10 // far more than a socket pair holds
		received := testkit.Background(func() error {
			for id := range uint32(n) {
				k.deliver(Message{Type: queuePacket, Seq: id, Attrs: make([]byte, size)}.Append(nil))
			}
			return nil
		})
		if err := testkit.Next(k, received); err != nil {
			k.Fatal(err)
		}
		k.peer.Close() // which loses nothing
		var next uint32
		b := NewBatch(7, size+messageRoom, func(m Message, err error) {
			if err != nil || m.Seq != next || len(m.Attrs) != size {
				k.Errorf("packet %d is number %d, of %d bytes, %v", next, m.Seq, len(m.Attrs), err)
			}
			next++
		})
		for next < n {
			if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(b) })); err != nil {
				k.Fatal(err)
			}
		}
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Receive(b) })); err == nil {
			k.Error("the far end has hung up, and there is no error")
		}
	})
}

func TestUnreceivedDatagramsAreForgottenOnClose(t *testing.T) {
	overTransports(t, func(k *kernel) {
		for range 300 {
			k.deliver(make([]byte, 16<<10))
		}
		k.conn.Close() // TestMain sees what it leaves behind
	})
}

func TestLongestDatagramsAreDelivered(t *testing.T) {
	overTransports(t, func(k *kernel) {
		const size = 261_008 // NFLOG's, with the largest buffer
		got := 0
		for range 2 {
			k.deliver(Message{Type: logPacket, Attrs: make([]byte, size-messageRoom)}.Append(nil))
		}
		if err := k.conn.Request(config(5)); err != nil { // keeps them
			k.Fatal(err)
		}
		b := NewBatch(2, size, func(m Message, err error) {
			if err != nil || len(m.Attrs) != size-messageRoom {
				k.Errorf("%d bytes, %v", len(m.Attrs), err)
			}
			got++
		})
		if err := k.conn.Receive(b); err != nil || got != 2 {
			k.Errorf("%d datagrams, %v", got, err)
		}
	})
}

const messageRoom = headerLen + genericLen

// A request finds its answer behind as much as the socket cannot take at once.
func TestAnswerBehindABacklogIsNotLost(t *testing.T) {
	overTransports(t, func(k *kernel) {
		var s sizes
		const packets = 30
		k.answer = func(Message) syscall.Errno {
			for range packets {
				k.deliver(longPacket(60000))
			}
			return 0
		}
		if err := testkit.Next(k, testkit.Background(func() error { return k.conn.Request(config(5)) })); err != nil {
			k.Fatal(err)
		}
		if n := k.asked.Load(); n != 1 {
			k.Errorf("asked %d times", n)
		}
		want := make([]int, packets)
		for i := range want {
			want[i] = 59980
		}
		for b := NewBatch(packets, 60000, s.take); ; {
			if err := k.conn.TryReceive(b); err != nil {
				k.Fatal(err)
			}
			if b.n == 0 {
				break
			}
		}
		s.want(k, want...)
	})
}
