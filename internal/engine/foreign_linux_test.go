package engine

import (
	"errors"
	"syscall"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// stranger opens a socket of another program with CAP_NET_ADMIN and sends a
// packet from it to port.
func stranger(t *testing.T, port uint32, datagram []byte) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port})
}

func TestOtherProgramsCannotSendToTheSocket(t *testing.T) {
	c := dialTest(t, Config{})
	for name, datagram := range map[string][]byte{
		"a packet":           packet(1),
		"an acknowledgement": reply(Message{Type: queueConfig, Seq: c.seq.Load() + 1}, 0),
		"a refusal":          reply(Message{Type: queueConfig, Seq: c.seq.Load() + 1}, syscall.EPERM),
	} {
		if err := stranger(t, c.PortID(), datagram); err != syscall.ECONNREFUSED {
			t.Errorf("sending %s to the socket: %v", name, err)
		}
	}
	if err := c.TryReceive(NewBatch(1, 256, func(m Message, err error) {
		t.Errorf("received %+v, %v", m, err)
	})); err != nil {
		t.Error(err)
	}
}

// TestWhatOtherProgramsSentIsNotTaken leaves out the connect, which is the
// state of the socket for a moment in Dial.
func TestWhatOtherProgramsSentIsNotTaken(t *testing.T) {
	lab.Require(t)
	nc, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSocket(nc, true)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(s)
	defer c.Close()

	forge := func(datagram []byte) {
		if err := stranger(t, nc.PID(), datagram); err != nil {
			t.Fatal("forge:", err)
		}
	}
	var got seen
	want := func(n int) {
		t.Helper()
		if len(got.errs) != n || len(got.ids) != 0 || len(got.replies) != 0 {
			t.Fatalf("took packets %v, replies %v, errors %v", got.ids, got.replies, got.errs)
		}
		for i, err := range got.errs {
			if err != errForeign || !errors.Is(err, ErrMalformed) || got.bad[i].Type != 0 {
				t.Errorf("took %+v, %v", got.bad[i], err)
			}
		}
		got = seen{}
	}

	forge(packet(1))
	forge(append(packet(2), packet(3)...))
	forge(nlmsg(16, uint16(typeDone), 0, 0, 0))
	if err := c.Receive(got.batch(8)); err != nil {
		t.Fatal(err)
	}
	want(3)

	// Nor is a forged answer an answer, and a Request keeps the news of it.
	forge(reply(Message{Type: queueConfig, Seq: c.seq.Load() + 1}, syscall.EBUSY))
	if err := c.Request(config(9)); err != nil {
		t.Error(err)
	}
	if err := c.TryReceive(got.batch(8)); err != nil {
		t.Fatal(err)
	}
	want(1)
}

func TestWhatOtherProgramsSentToANewSocketIsThrownAway(t *testing.T) {
	lab.Require(t)
	nc, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSocket(nc, true)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(s)
	defer c.Close()
	for id := range uint32(3) {
		if err := stranger(t, nc.PID(), packet(id)); err != nil {
			t.Fatal("forge:", err)
		}
	}
	if err := s.discard(); err != nil {
		t.Fatal(err)
	}
	if err := c.TryReceive(NewBatch(8, 256, func(m Message, err error) {
		t.Errorf("took %+v, %v", m, err)
	})); err != nil {
		t.Error(err)
	}
}
