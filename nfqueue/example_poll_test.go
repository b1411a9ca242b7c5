//go:build linux

package nfqueue_test

import (
	"errors"
	"log"

	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A program with an event loop polls the queue's descriptor among others, and
// receives until nothing is left.
func ExampleQueue_TryReceive() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	raw, err := q.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	var fds [1]unix.PollFd
	if err := raw.Control(func(fd uintptr) { fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} }); err != nil {
		log.Fatal(err)
	}
	b := q.NewBatch()
	for {
		if _, err := unix.Poll(fds[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
			log.Fatal(err)
		}
		for {
			if err := q.TryReceive(b); err != nil {
				log.Fatal(err)
			}
			if len(b.Packets) == 0 {
				break
			}
			for i := range b.Packets {
				b.Verdicts[i] = nfqueue.Accept()
			}
			if err := q.Send(b); err != nil {
				log.Fatal(err)
			}
		}
	}
}
