//go:build linux

package main

import (
	"crypto/rand"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
)

// commands returns the commands of the README and of the comment of main.go.
func commands(t *testing.T) (all []string) {
	t.Helper()
	for _, name := range []string{"README.md", "main.go"} {
		text, err := os.ReadFile(name)
		must(t, err)
		for _, m := range regexp.MustCompile(`(?m)^(?://\t)?ship (-[^#\n]*)`).FindAllSubmatch(text, -1) {
			all = append(all, strings.TrimSpace(string(m[1])))
		}
	}
	return all
}

// Every command of the documents starts and ends as it should, also while nobody
// answers. The first is the one without other servers: what is stored there is what
// the last, with -print, prints.
func TestCommandsOfDocumentsAreRun(t *testing.T) {
	all := commands(t)
	if len(all) < 8 {
		t.Fatalf("only %q were found", all)
	}
	var storing *exampletest.Process
	var n *lab.Net
	for _, command := range all {
		args := strings.Fields(command)
		switch {
		case strings.Contains(command, "-print"):
			p := exampletest.Run(t, n, args...)
			if line := p.Next(); !strings.Contains(line, `"destination.port":9,`) {
				t.Errorf("ship %s prints %s", command, line)
			}
			p.Stop()
			storing.Stop()
		case strings.Contains(command, "-url"), strings.Contains(command, "-otlp"):
			exampletest.Start(t, exampletest.Net(t), append(args, "-dir", t.TempDir())...).Stop()
		default:
			n = exampletest.Net(t)
			storing = exampletest.Start(t, n, append(args, "-dir", t.TempDir())...)
			if c, err := n.Dial("tcp", "127.0.0.1:9"); err == nil { // nobody listens; its SYN is logged
				c.Close()
			}
		}
	}
}

// What the README says of nats stream edit is for a stream that the program has made:
// the program leaves it as it is from then on.
func TestStreamThatWasBoundedStaysSo(t *testing.T) {
	lab.Require(t)
	dir := t.TempDir()
	var stream jetstream.StreamConfig
	for range 2 {
		sink, err := newNATS("", dir, "h", logGroup, 1, time.Minute)
		must(t, err)
		must(t, sink.Send(t.Context(), &Block{ID: rand.Text(), Records: []Record{{Number: 1}}}))
		s, err := sink.js.Stream(t.Context(), streamName)
		must(t, err)
		if stream.Name == "" {
			stream = s.CachedInfo().Config
			stream.MaxAge, stream.MaxBytes = 7*24*time.Hour, 500e6
			_, err := sink.js.UpdateStream(t.Context(), stream)
			must(t, err)
		} else if got := s.CachedInfo().Config; got.MaxAge != stream.MaxAge || got.MaxBytes != stream.MaxBytes {
			t.Errorf("the stream has %v and %d bytes, want %v and %d", got.MaxAge, got.MaxBytes, stream.MaxAge, stream.MaxBytes)
		}
		must(t, sink.Close())
	}
}
