//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
)

// What a packet was, where, and what became of it, is in the file for tshark to
// show and to filter by.
func TestTsharkShowsInterfacesDirectionPrefixAndVerdict(t *testing.T) {
	need(t, "tshark")
	file := captured(t)
	rows := tshark(t, file, "-e", "frame.interface_name", "-e", "sll.ifindex", "-e", "sll.pkttype",
		"-e", "frame.packet_flags_direction", "-e", "udp.dstport", "-e", "udp.length", "-e", "frame.comment")
	slices.Sort(rows)
	want := []string{
		"lo\t1\t4\t0x00000002\t9999\t13\thook=output,prefix=dns query ,uid=0 gid=0",
		"lo\t1\t4\t0x00000002\t9999\t13\thook=output,verdict=accept",
		"lo\t1\t4\t0x00000002\t9999\t14\thook=output,prefix=dns query ,uid=0 gid=0",
		"lo\t1\t4\t0x00000002\t9999\t14\thook=output,verdict=accept",
	}
	if !slices.Equal(rows, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
	ids := tshark(t, file, "-Y", `frame.comment contains "verdict=accept"`, "-e", "frame.packet_id", "-e", "frame.interface_queue")
	if want := []string{"1\t7", "2\t7"}; !slices.Equal(ids, want) {
		t.Errorf("IDs and queues are %q, want %q", ids, want)
	}
}

// tcpdump reads the file too, packets of both versions of IP in it.
func TestTcpdumpReadsTheFile(t *testing.T) {
	need(t, "tcpdump")
	out, err := exec.Command("tcpdump", "-n", "-r", captured(t)).Output()
	must(t, err)
	for _, want := range []string{"lo    Out IP 127.0.0.1", "lo    Out IP6 ::1", "> 127.0.0.1.9999: UDP, length 5", "> ::1.9999: UDP, length 6"} {
		if n := strings.Count(string(out), want); n != 2 {
			t.Errorf("%q is there %d times, want 2:\n%s", want, n, out)
		}
	}
}

// captured returns a file of two packets, each logged and queued.
func captured(t *testing.T) string {
	t.Helper()
	addRules(t, lab.Log(logGroup, prefix, 0, 0), lab.Queue(queueNum))
	file := filepath.Join(t.TempDir(), "dump.pcapng")
	p := start(t, capture("-queue", "7", "-group", "5", "-w", file))
	until(t, "the queue and the group are bound", bound)
	send(t, target, "hello")
	send(t, "[::1]:9999", "hello6")
	p.stop(t)
	if got, want := p.stderr.String(), "capture: 4 packets, 0 lost\n"; !strings.HasSuffix(got, want) {
		t.Errorf("the program said %q, want %q", got, want)
	}
	return file
}

// Wireshark reads a pipe while packets come: each is there at once.
func TestPipeShowsPacketsAtOnce(t *testing.T) {
	need(t, "tshark")
	addRules(t, lab.Log(logGroup, prefix, 0, 0))
	out, in, err := os.Pipe()
	must(t, err)
	defer out.Close()
	writer := capture("-group", "5")
	writer.Stdout = in
	p := start(t, writer)
	in.Close()
	reader := exec.Command("tshark", "-n", "-l", "-i", "-", "-c", "3", "-T", "fields", "-e", "udp.length")
	reader.Stdin = out
	r := start(t, reader)
	until(t, "the group is bound", groupBound)
	send(t, target, "one", "three", "fourteen")
	r.wait(t) // it ends by itself, after three packets
	if got, want := r.stdout.String(), "11\n13\n16\n"; got != want {
		t.Errorf("tshark showed %q, want %q", got, want)
	}
	p.stop(t)
}

// Whoever connects gets the packets from then on.
func TestTsharkConnects(t *testing.T) {
	need(t, "tshark")
	addRules(t, lab.Log(logGroup, prefix, 0, 0))
	p := start(t, capture("-group", "5", "-listen", "127.0.0.1:19000"))
	until(t, "the group is bound", groupBound)
	file := filepath.Join(t.TempDir(), "remote.pcapng")
	r := start(t, exec.Command("tshark", "-n", "-i", "TCP@127.0.0.1:19000", "-c", "2", "-w", file))
	until(t, "tshark has its header", func() bool { s, err := os.Stat(file); return err == nil && s.Size() > 0 })
	send(t, target, "over", "there")
	r.wait(t)
	if got := tshark(t, file, "-e", "udp.length"); !slices.Equal(got, []string{"12", "13"}) {
		t.Errorf("tshark got %q", got)
	}
	p.stop(t)
}

// The rules that the program prints are those of its comment, and nft and iptables
// take them.
func TestRules(t *testing.T) { exampletest.CheckRules(t, "-group", "5") }
