//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// What the tests log, and for how long they wait.
const (
	address  = "127.0.0.1:9999"
	logGroup = 5
	patience = 60 * time.Second
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// logged makes a rule that logs what flood sends.
func logged(t testing.TB) *lab.Rule {
	t.Helper()
	lab.Require(t)
	n, err := lab.Here()
	must(t, err)
	t.Cleanup(func() { n.Close() })
	c, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	t.Cleanup(func() { c.Delete() })
	rule, err := c.Add(lab.UDP(9999), lab.Log(logGroup, "flood ", 0, 0))
	must(t, err)
	return rule
}

// flood sends datagrams at a rate until ctx is done.
func flood(ctx context.Context, t testing.TB, perSecond int) {
	t.Helper()
	to, err := net.ListenPacket("udp", address) // or the kernel answers that nobody listens
	must(t, err)
	defer to.Close()
	c, err := net.Dial("udp", address)
	must(t, err)
	defer c.Close()
	begin, sent := time.Now(), 0
	for ctx.Err() == nil {
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due; sent++ {
			c.Write([]byte("a datagram"))
		}
		time.Sleep(time.Millisecond)
	}
}

// A shipper reads real packets and sends them.
type shipper struct {
	reader *nflog.Reader
	sender *Sender
	stop   func() // ends it, what waits is sent
}

// newTally returns a tally that has counted nothing yet.
func newTally(t testing.TB) *Tally {
	t.Helper()
	tally, err := openTally(t.TempDir(), logGroup)
	must(t, err)
	return tally
}

// startShipper starts one.
func startShipper(t testing.TB, sink Sink, capacity int) *shipper {
	t.Helper()
	origin, err := newOrigin()
	must(t, err)
	var lost losses
	r, err := nflog.Open(nflog.Config{Groups: []uint16{logGroup}, OnError: lost.add})
	must(t, err)
	s := &Sender{Ring: NewRing(capacity, origin.blocks()), Sink: sink, Tally: newTally(t)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, r, &lost, origin, s) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.Close()
	})
	t.Cleanup(stop)
	return &shipper{r, s, stop}
}

// account checks that each packet that met the rule is somewhere, and stored if it
// was acknowledged: there once. stored are the records of the stream.
func account(t *testing.T, rule *lab.Rule, s *shipper, stored []Record) {
	t.Helper()
	packets, err := rule.Packets()
	must(t, err)
	stats, counts := s.reader.Stats(), s.sender.Counts()
	t.Logf("%d packets, %d lost in the kernel, %v", packets, stats.Lost, counts)
	if packets != stats.Packets+stats.Lost || stats.Packets != counts.Acknowledged+counts.Dropped+counts.Left {
		t.Errorf("%d packets are not %+v and %v", packets, stats, counts)
	}
	ids, missing := map[string]bool{}, uint64(0)
	for _, r := range stored {
		if ids[r.ID] {
			t.Fatalf("%s is stored twice", r.ID)
		}
		ids[r.ID] = true
		missing += r.Lost
	}
	if counts.Left == 0 && uint64(len(stored)) != counts.Acknowledged {
		t.Errorf("%d records are stored, %d were acknowledged", len(stored), counts.Acknowledged)
	}
	if counts.Left == 0 && missing != counts.Dropped+stats.Lost {
		t.Errorf("the records say that %d are missing, of %d that were dropped and %d lost", missing, counts.Dropped, stats.Lost)
	}
}

// natsServer builds the server of the module, in Go's cache, and returns its file.
var natsServer = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "nats-server").Output()
	return strings.TrimSpace(string(out)), err
})

// A node is a nats-server process.
type node struct {
	t      *testing.T
	config string
	cmd    *exec.Cmd
}

// newNode describes server i of n; its store is in dir.
func newNode(t *testing.T, i, n int, dir string) *node {
	t.Helper()
	config := fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream {store_dir: %q}\n", i, 4300+i, dir)
	if n > 1 {
		var routes []string
		for j := range n {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", 6300+j))
		}
		config += fmt.Sprintf("cluster {name: c, listen: 127.0.0.1:%d, routes: [%s]}\n", 6300+i, strings.Join(routes, ", "))
	}
	name := filepath.Join(t.TempDir(), "nats.conf")
	must(t, os.WriteFile(name, []byte(config), 0o644))
	d := &node{t: t, config: name}
	t.Cleanup(d.kill)
	return d
}

// start starts the process.
func (d *node) start() {
	d.t.Helper()
	server, err := natsServer()
	must(d.t, err)
	d.cmd = exec.Command(server, "-c", d.config)
	must(d.t, d.cmd.Start())
}

// kill ends it with SIGKILL.
func (d *node) kill() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
		d.cmd = nil
	}
}

// stored returns the records in the stream, in order.
func stored(t *testing.T, url string) (records []Record) {
	t.Helper()
	conn, err := nats.Connect(url)
	must(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	must(t, err)
	stream, err := js.Stream(t.Context(), streamName)
	must(t, err)
	info, err := stream.Info(t.Context())
	must(t, err)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		must(t, err)
		for line := range strings.Lines(string(m.Data)) {
			var r Record
			must(t, json.Unmarshal([]byte(line), &r))
			records = append(records, r)
		}
	}
	return records
}
