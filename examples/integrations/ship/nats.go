package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The stream, and what its subjects begin with; a host's name and a group follow.
const (
	streamName = "NFLOG"
	subjects   = "nflog."
)

// A natsSink publishes to JetStream.
type natsSink struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	server  *server.Server // the embedded one, or nil
	subject string
	stream  jetstream.StreamConfig
	made    bool // the stream is known to exist
}

// newNATS returns a sink of blocks of a host and a group: to the servers in url, or if that is
// empty to an embedded one that stores in dir. The stream is kept on so many
// servers, and remembers the IDs of blocks for window.
func newNATS(url, dir, host string, group uint16, replicas int, window time.Duration) (*natsSink, error) {
	s := &natsSink{
		subject: fmt.Sprintf("%s%s.%d", subjects, strings.NewReplacer(".", "_", " ", "_", "*", "_", ">", "_").Replace(host), group),
		stream: jetstream.StreamConfig{
			Name: streamName, Subjects: []string{subjects + ">"}, Storage: jetstream.FileStorage,
			Replicas: replicas, Duplicates: window,
		},
	}
	options := []nats.Option{
		nats.Name("nfpacket ship on " + host),
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now: the ring is the buffer
	}
	if url == "" {
		var err error
		if s.server, err = embed(dir); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(s.server))
	}
	var err error
	if s.conn, err = nats.Connect(url, options...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.js, err = jetstream.New(s.conn)
	return s, err
}

// embed starts a server in the program: a spool on the local disk, which listens on
// localhost for who reads it.
func embed(dir string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "nfpacket-ship", JetStream: true, StoreDir: dir, Host: "127.0.0.1", Port: *port, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("the embedded server does not start; is port %d free?", *port)
	}
	return s, nil
}

// Send implements Sink.
func (s *natsSink) Send(ctx context.Context, b *Block) error {
	if err := s.makeStream(ctx); err != nil {
		return err
	}
	_, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: s.subject, Data: lines(b)}, jetstream.WithMsgID(b.ID), jetstream.WithRetryAttempts(0))
	return err
}

// Last implements Sink.
func (s *natsSink) Last(ctx context.Context) (uint64, error) {
	stream, err := s.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, s.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last := bytes.TrimSpace(m.Data)
	var r Record
	err = json.Unmarshal(last[bytes.LastIndexByte(last, '\n')+1:], &r)
	return r.Number, err
}

// makeStream makes the stream unless it is there; another host may have made it.
func (s *natsSink) makeStream(ctx context.Context) error {
	if s.made {
		return nil
	}
	_, err := s.js.CreateStream(ctx, s.stream)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return err
	}
	s.made = true
	return nil
}

// Close implements Sink.
func (s *natsSink) Close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
	return nil
}

// lines returns the records of a block as lines of JSON.
func lines(b *Block) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for i := range b.Records {
		e.Encode(&b.Records[i]) // strings and numbers only
	}
	return out.Bytes()
}
