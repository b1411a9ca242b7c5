//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// Wireshark lists both interfaces, by what tshark says, which has the same engine.
func TestWiresharkListsTheInterfaces(t *testing.T) {
	need(t, "tshark")
	home(t)
	out, err := exec.Command("tshark", "-D").Output()
	must(t, err)
	for _, want := range []string{"nfpacket-log (NFLOG: ", "nfpacket-queue (NFQUEUE: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("tshark -D does not list %q:\n%s", want, out)
		}
	}
}

// Of packets that come one by one none is missing, as some are from libpcap's own
// interface nflog; and what the dialog sets is used.
func TestWiresharkCapturesEveryLoggedPacket(t *testing.T) {
	need(t, "tshark")
	home(t)
	addRules(t, lab.Log(logGroup+1, prefix, 0, 0))
	r := start(t, exec.Command("tshark", "-n", "-l", "-i", "nfpacket-log", "-o", "extcap.nfpacket_log.group:6",
		"-c", "3", "-T", "fields", "-e", "udp.length", "-e", "frame.comment"))
	until(t, "the group is bound", func() bool { return inTable(procfs("nfnetlink_log"), logGroup+1) })
	send(t, target, "one", "three", "fourteen")
	r.wait(t)
	const comment = "\thook=output,prefix=dns query ,uid=0 gid=0\n"
	if got, want := r.stdout.String(), "11"+comment+"13"+comment+"16"+comment; got != want {
		t.Errorf("tshark showed %q, want %q", got, want)
	}
	clean(t, r)
	until(t, "the group is free", func() bool { return !inTable(procfs("nfnetlink_log"), logGroup+1) })
}

// Queued packets go on while they are captured.
func TestWiresharkCapturesEveryQueuedPacket(t *testing.T) {
	need(t, "tshark")
	home(t)
	addRules(t, lab.Queue(queueNum))
	r := start(t, exec.Command("tshark", "-n", "-l", "-i", "nfpacket-queue", "-c", "3", "-T", "fields", "-e", "udp.length", "-e", "frame.comment"))
	until(t, "the queue is bound", queueBound)
	send(t, target, "one", "three", "fourteen") // returns when they have arrived
	r.wait(t)
	const comment = "\thook=output,verdict=accept\n"
	if got, want := r.stdout.String(), "11"+comment+"13"+comment+"16"+comment; got != want {
		t.Errorf("tshark showed %q, want %q", got, want)
	}
	clean(t, r)
	until(t, "the queue is free", func() bool { return !queueBound() })
}

// extcap builds the extcap program, once for all tests.
var extcap = sync.OnceValues(func() (file string, err error) {
	dir, err := os.MkdirTemp("", "extcap")
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "nfpacket")
	if out, err := exec.Command("go", "build", "-o", file, "./extcap").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

// home gives Wireshark a home with the program in it.
func home(t *testing.T) {
	t.Helper()
	lab.Require(t)
	program, err := extcap()
	must(t, err)
	dir := t.TempDir()
	for _, folder := range []string{
		".config/wireshark/extcap",    // up to version 4.0
		".local/lib/wireshark/extcap", // from 4.2 on
	} {
		folder = filepath.Join(dir, folder)
		must(t, os.MkdirAll(folder, 0o755))
		must(t, os.Symlink(program, filepath.Join(folder, "nfpacket")))
	}
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", "")
}

// clean checks that Wireshark has nothing to complain of: it shows what an extcap
// program writes to its standard error as a fault.
func clean(t *testing.T, p *process) {
	t.Helper()
	if s := p.stderr.String(); strings.Contains(s, "extcap") {
		t.Errorf("tshark complains: %s", s)
	}
}
