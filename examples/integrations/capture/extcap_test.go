//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
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

// home gives Wireshark a home with the program in it.
func home(t *testing.T) {
	t.Helper()
	lab.Require(t)
	dir := t.TempDir()
	folder := filepath.Join(dir, ".config/wireshark/extcap")   // up to version 4.0
	newer := filepath.Join(dir, ".local/lib/wireshark/extcap") // from 4.2 on
	for _, f := range []string{folder, newer} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(f, "nfpacket"), "./extcap").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
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
