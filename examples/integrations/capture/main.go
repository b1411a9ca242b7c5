// Capture writes the packets of a queue and of log groups as pcapng: to a file,
// to a pipe, or to whoever connects. It accepts what it captures from the queue.
//
//	capture -queue 7 -group 5 -w dump.pcapng
//	capture -group 5 -w dump.pcapng -size 100 -files 10
//	capture -group 5 | wireshark -k -i -
//	capture -group 5 -listen 127.0.0.1:19000     # tshark -i TCP@127.0.0.1:19000
//
// It needs CAP_NET_ADMIN and rules of your choice; -rules prints these, and
// -install installs them while it runs:
//
//	add table inet nfpacket_capture
//	add chain inet nfpacket_capture output { type filter hook output priority filter; }
//	add rule inet nfpacket_capture output udp dport 53 log prefix "dns " group 5
//	add rule inet nfpacket_capture output udp dport 53 queue flags bypass to 7
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFLOG --nflog-group 5 --nflog-prefix "dns "
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7 --queue-bypass
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/integrations/capture/internal/source"
	"github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng"
	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfqueue"
)

var (
	queue   = flag.Int("queue", -1, "`number` of the queue to capture and accept")
	groups  = flag.String("group", "", "`numbers` of log groups, with commas")
	name    = flag.String("w", "-", "`file` to write, - is standard output")
	size    = flag.Int64("size", 0, "begin another file after so many `MB`")
	keep    = flag.Int("files", 0, "how many files to keep, 0 is all")
	address = flag.String("listen", "", "`address` to listen on, instead of -w")
	link    = flag.String("link", "sll2", "link `type`: sll2, nflog (all that the kernel logs with a packet) or netlink (every message)")
	snap    = flag.Uint("snaplen", 0, "`bytes` of a packet to capture, 0 is all")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("capture: ")
	program := rules.Parse("capture",
		rules.Log(5).Prefix("dns ").Match("udp dport 53"),
		rules.Queue(7).Bypass().Match("udp dport 53"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, program); err != nil {
		log.Fatal(err)
	}
}

// run captures until ctx is done.
func run(ctx context.Context, program *rules.Program) error {
	cfg := source.Config{Queue: *queue, CopyRange: uint32(*snap), Verdict: nfqueue.Accept()}
	var err error
	if cfg.Groups, err = numbers(*groups); err != nil {
		return err
	}
	if cfg.Link, err = linkType(*link); err != nil {
		return err
	}
	out, err := open(cfg.Link)
	if err != nil {
		return err
	}
	s, err := source.Open(cfg, out.Write)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := program.Install(); err != nil {
		return err
	}
	err = s.Run(ctx)
	packets, lost := s.Counts()
	log.Printf("%d packets, %d lost", packets, lost)
	return errors.Join(err, out.Close())
}

// A sink is where records go.
type sink interface {
	Write(pcapng.Record) error
	io.Closer
}

// open opens what the flags name.
func open(link pcapng.Link) (sink, error) {
	switch {
	case *address != "":
		return listen(*address, link)
	case *name == "-":
		return pcapng.NewWriter(os.Stdout, link)
	case *size > 0:
		return pcapng.NewRotating(pcapng.Files(*name, *keep), *size*1e6, link)
	}
	f, err := os.Create(*name)
	if err != nil {
		return nil, err
	}
	return pcapng.NewWriter(f, link)
}

// linkType returns the link type of a name.
func linkType(name string) (pcapng.Link, error) {
	link, ok := map[string]pcapng.Link{"sll2": pcapng.SLL2, "nflog": pcapng.NFLOG, "netlink": pcapng.Netlink}[name]
	if !ok {
		return 0, fmt.Errorf("-link is %q, not sll2, nflog or netlink", name)
	}
	return link, nil
}

// numbers reads group numbers.
func numbers(list string) (groups []uint16, err error) {
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("-group %s: %w", list, err)
		}
		groups = append(groups, uint16(n))
	}
	return groups, nil
}
