// Audit lets no packet pass that is not on record. The records of all packets that
// came together are written and synced to disk, and then their verdicts are
// given; if the disk is full, or the program is killed, they stay where they are
// and are dropped:
//
//	go run ./examples/audit -install -file audit.jsonl
//
// A record may be there of a packet that was not let through, never the other way
// round. The rule has no bypass flag, for the same reason. Its rules, which -rules
// prints and -install installs:
//
//	add table inet nfpacket_audit
//	add chain inet nfpacket_audit output { type filter hook output priority filter; }
//	add rule inet nfpacket_audit output meta l4proto udp queue to 7
//
//	iptables -A OUTPUT -p udp -j NFQUEUE --queue-num 7
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A record is a line of the file.
type record struct {
	Time   time.Time       `json:"time"`
	Packet *nfqueue.Packet `json:"packet"`
	Bytes  []byte          `json:"bytes"` // in base64
}

func main() {
	name := flag.String("file", "audit.jsonl", "append the records to this `file`")
	program := rules.Parse("audit", rules.Queue(7).Match("meta l4proto udp"))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file, err := os.OpenFile(*name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if err := program.Install(); err != nil {
		log.Fatal(err)
	}
	// When it is to end, what is queued is decided first.
	context.AfterFunc(ctx, func() {
		if err := q.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	})
	if err := run(q, file); !errors.Is(err, net.ErrClosed) { // which Shutdown is the reason for
		log.Fatal(err)
	}
}

// run decides on packets once they are on record.
func run(q *nfqueue.Queue, file *os.File) error {
	for b := q.NewBatch(); ; {
		if err := q.Receive(b); err != nil {
			return err
		}
		if err := write(file, b.Packets); err != nil {
			return err // without the verdicts: the kernel drops the packets
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
		}
		if err := q.Send(b); err != nil {
			return err
		}
	}
}

// write returns when the records are on disk. It begins with an empty line: the
// last one of a program that was killed may be cut.
func write(file *os.File, packets []nfqueue.Packet) error {
	w := bufio.NewWriter(file)
	w.WriteByte('\n')
	lines := json.NewEncoder(w)
	for i := range packets {
		if err := lines.Encode(record{time.Now(), &packets[i], packets[i].Payload}); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Sync()
}
