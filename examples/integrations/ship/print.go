package main

import (
	"context"
	"io"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// printStream writes the records of the stream, from where the consumer of that
// name stopped, until ctx is done. A block is acknowledged once it is written, so
// that it is written again if the program ends before.
func printStream(ctx context.Context, url, consumer string, w io.Writer) error {
	conn, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	c, err := js.CreateOrUpdateConsumer(ctx, streamName, jetstream.ConsumerConfig{Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	messages, err := c.Messages()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	log.Printf("ready; %s goes on where it stopped", consumer)
	for {
		m, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(m.Data()); err != nil {
			return err
		}
		if err := m.DoubleAck(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
