package main

import (
	"net"
	"sync"
	"time"

	"github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng"
)

// backlog is how many records may wait for a client; those beyond are lost to it,
// and it is told how many.
const backlog = 4096

// A server sends records to whoever connects, from then on. A client that reads
// slowly delays nobody else.
type server struct {
	listener net.Listener
	link     pcapng.Link

	mu      sync.Mutex
	clients map[*client]bool
	closed  bool
	sending sync.WaitGroup
}

// A client is one connection.
type client struct {
	conn    net.Conn
	records chan pcapng.Record
	lost    uint64 // records that found no room since the last that did
}

// listen serves on a TCP address.
func listen(address string, link pcapng.Link) (*server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &server{listener: l, link: link, clients: map[*client]bool{}}
	go s.accept()
	return s, nil
}

// accept takes connections until the listener is closed.
func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.add(&client{conn: conn, records: make(chan pcapng.Record, backlog)})
	}
}

// add begins to send to c.
func (s *server) add(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.conn.Close()
		return
	}
	s.clients[c] = true
	s.sending.Go(func() {
		defer s.remove(c)
		c.send(s.link)
	})
}

// remove forgets c.
func (s *server) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
}

// send writes records until there are no more, or the client is gone.
func (c *client) send(link pcapng.Link) {
	defer c.conn.Close()
	w, err := pcapng.NewWriter(c.conn, link)
	if err != nil {
		return
	}
	for r := range c.records {
		if w.Write(r) != nil {
			return
		}
	}
}

// Write hands a record to every client. It never waits.
func (s *server) Write(r pcapng.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	for c := range s.clients {
		mine := r
		mine.Lost += c.lost
		select {
		case c.records <- mine:
			c.lost = 0
		default:
			c.lost = mine.Lost + 1
		}
	}
	return nil
}

// Close sends what waits, for a second at most, and ends all connections.
func (s *server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.clients {
		close(c.records)
		c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.sending.Wait()
	return err
}
