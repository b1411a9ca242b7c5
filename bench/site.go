package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// Where things are in the namespace.
const (
	queuePort = 9000 // and the next ones: packets to them wait in queue 0, 1, ...
	logPort   = 9100 // packets to it are logged to group 0
	barePort  = 9200 // packets to it meet no rule
	pingPort  = 9300 // packets to it wait in queue 0, and it has no sink
	joinPort  = 9500 // the first packets of connections to it do, unless they have a mark
	maxQueues = 8

	prefix = "bench " // of what is logged
)

// A site is where programs are measured: a namespace with rules at the input
// hook, where a packet that waits does not count against its sender's socket.
// What is accepted goes to sockets that nobody reads: once they are full, the
// kernel's own work on a packet is the same from the first to the last.
type site struct {
	net, peer, server *lab.Net
	sinks             []net.PacketConn
	senders           map[int]net.Conn
}

// far and near are the addresses at the ends of the pair between peer and net.
var near, far = netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("10.99.0.2/24")

// newSite arranges the namespace of the process.
func newSite() (*site, error) {
	s := &site{senders: map[int]net.Conn{}}
	var err error
	if s.net, err = lab.Here(); err != nil {
		return nil, err
	}
	if err := s.addRules(); err != nil {
		return nil, err
	}
	if err := s.addPeer(); err != nil {
		return nil, err
	}
	if err := s.addRouter(); err != nil {
		return nil, err
	}
	for i := range maxQueues {
		if err := s.addSink(queuePort + i); err != nil {
			return nil, err
		}
	}
	return s, s.addSink(logPort)
}

func (s *site) addRules() error {
	chain, err := s.net.Chain(lab.IPv4, lab.Input, 0)
	if err != nil {
		return err
	}
	for i := range uint16(maxQueues) {
		if _, err := chain.Add(lab.UDP(queuePort+i), lab.Queue(i)); err != nil {
			return err
		}
	}
	for _, match := range []lab.Term{lab.UDP(pingPort), lab.TCP(queuePort)} {
		if _, err := chain.Add(match, lab.Queue(0)); err != nil {
			return err
		}
	}
	if _, err := chain.Add(lab.Mark(1), lab.Accept()); err != nil {
		return err
	}
	if _, err := chain.Add(lab.TCP(joinPort), lab.SYN(), lab.Queue(0)); err != nil {
		return err
	}
	_, err = chain.Add(lab.UDP(logPort), lab.SetMark(7), lab.Log(0, prefix, 0, 0))
	return err
}

// addPeer adds a second namespace, at the other end of a pair of devices with
// an MTU of 1500: what TCP sends from there comes in large (GSO) packets.
func (s *site) addPeer() error {
	var err error
	if s.peer, err = lab.NewNet(); err != nil {
		return err
	}
	if err := s.net.Veth("near", s.peer, "far"); err != nil {
		return err
	}
	if err := s.net.AddAddr("near", near); err != nil {
		return err
	}
	if err := s.peer.AddAddr("far", far); err != nil {
		return err
	}
	if err := s.net.Up("near"); err != nil {
		return err
	}
	return s.peer.Up("far")
}

func (s *site) addSink(port int) error {
	sink, err := s.net.ListenPacket("udp4", address(port))
	if err != nil {
		return err
	}
	s.sinks = append(s.sinks, sink)
	s.senders[port], err = s.net.Dial("udp4", address(port))
	return err
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// close takes the site apart.
func (s *site) close() {
	for _, c := range s.sinks {
		c.Close()
	}
	for _, c := range s.senders {
		c.Close()
	}
	s.peer.Close()
	s.server.Close()
	s.net.Close()
}

// send sends count datagrams of the given size, to the ports in turn.
func (s *site) send(ports []int, count, size int) error {
	datagram := make([]byte, size)
	for i := range count {
		if _, err := s.senders[ports[i%len(ports)]].Write(datagram); err != nil {
			return err
		}
	}
	return nil
}

// fill makes count packets wait in the queues that belong to the ports.
func (s *site) fill(ports []int, count, size int) error {
	each := count / len(ports)
	for _, port := range ports {
		if err := s.fillOne(port, each, size); err != nil {
			return err
		}
	}
	return nil
}

// fillOne makes n packets wait in the queue that belongs to the port. A datagram
// may get lost on its way to the rule, and is then sent again.
func (s *site) fillOne(port, n, size int) error {
	queue := port - queuePort
	k, err := kernelQueue(queue)
	for tries := 0; err == nil && k.waiting != n; tries++ {
		switch {
		case k.socketDrops > 0:
			return fmt.Errorf("only %d of %d packets fit into the receive buffer: run as root of the host", k.waiting, n)
		case k.waiting > n || tries == 4:
			return fmt.Errorf("%d packets wait in queue %d, not %d", k.waiting, queue, n)
		}
		if err = s.send([]int{port}, n-k.waiting, size); err == nil {
			k, err = awaitWaiting(queue, n)
		}
	}
	return err
}

// awaitWaiting waits until n packets wait in a queue, or no more come: on a busy
// processor they may be late.
func awaitWaiting(queue, n int) (k queueState, err error) {
	for last, since := -1, time.Now(); ; time.Sleep(time.Millisecond) {
		k, err = kernelQueue(queue)
		if err != nil || k.waiting >= n || time.Since(since) > 200*time.Millisecond {
			return k, err
		}
		if k.waiting != last {
			last, since = k.waiting, time.Now()
		}
	}
}

// awaitEmpty waits until nothing waits in queue 0.
func awaitEmpty(limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		k, err := kernelQueue(0)
		if err != nil || k.waiting == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d packets still wait after %v", k.waiting, limit)
		}
	}
}
