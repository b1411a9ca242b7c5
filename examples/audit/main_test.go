//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// recorded returns what the datagrams on record carry.
func recorded(t *testing.T, file string) map[string]bool {
	t.Helper()
	const headers = 20 + 8 // of IPv4 and UDP
	text, err := os.ReadFile(file)
	testkit.Must(t, err)
	found := map[string]bool{}
	for line := range bytes.Lines(text) {
		var r struct{ Bytes []byte }
		if json.Unmarshal(line, &r) == nil && len(r.Bytes) > headers {
			found[string(r.Bytes[headers:])] = true
		}
	}
	return found
}

func TestNoPacketPassesWithoutARecordThoughTheProgramIsKilled(t *testing.T) {
	const kills, each = 5, 40 // datagrams that must come before the next kill
	n := exampletest.Net(t)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	p := exampletest.Start(t, n, "-file", file)
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for i := 0; !stop.Load(); i++ {
			from.Write([]byte(time.Now().Format(time.RFC3339Nano)))
			time.Sleep(50 * time.Microsecond)
		}
	}()

	var arrived []string
	for range kills {
		arrived = append(arrived, exampletest.Receive(t, to, each)...)
		p.Kill()
		p = exampletest.Run(t, n, "-file", file)
	}
	stop.Store(true)
	arrived = append(arrived, rest(to)...)
	found := recorded(t, file)
	for _, a := range arrived {
		if !found[a] {
			t.Errorf("%s passed without a record", a)
		}
	}
	t.Logf("%d datagrams passed, %d are on record", len(arrived), len(found))
}

// rest returns the datagrams that have arrived and those that are about to.
func rest(c net.PacketConn) (datagrams []string) {
	b := make([]byte, 100)
	for {
		c.SetReadDeadline(time.Now().Add(exampletest.Silence))
		l, _, err := c.ReadFrom(b)
		if err != nil {
			return datagrams
		}
		datagrams = append(datagrams, string(b[:l]))
	}
}

// /dev/full takes no byte.
func TestPacketDoesNotPassWhenTheDiskIsFull(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n, "-file", "/dev/full")
	to, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "x")
	exampletest.ReceiveNothing(t, to)
	if err := p.Wait(); err == nil {
		t.Error("the program ended without an error")
	}
	if want := syscall.ENOSPC.Error(); !bytes.Contains([]byte(p.Log()), []byte(want)) {
		t.Errorf("it says %q, not that %s", p.Log(), want)
	}
}
