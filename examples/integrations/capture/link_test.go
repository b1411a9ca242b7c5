//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// All that goes over the socket can be read in Wireshark: how the queue is set up,
// the packet, and the verdict.
func TestTsharkShowsMessagesAndVerdicts(t *testing.T) {
	need(t, "tshark")
	addRules(t, lab.Queue(queueNum))
	file := messages(t, queueBound, "-queue", "7", "-link", "netlink")
	const direction, queue = "frame.packet_flags_direction", "netlink-netfilter.queue."
	bind := tshark(t, file, "-Y", queue+"config.command.command == 1", "-e", direction, "-e", "netlink-netfilter.res_id")
	if want := []string{sent + "\t7"}; !slices.Equal(bind, want) {
		t.Errorf("tshark shows as bound %q, want %q", bind, want)
	}
	packets := tshark(t, file, "-Y", queue+"packet.id || "+queue+"verdict.id", "-e", direction, "-e", queue+"packet.id", "-e", "udp.dstport",
		"-e", queue+"verdict.id", "-e", queue+"verdict.verdict")
	want := []string{
		received + "\t1\t9999\t\t", sent + "\t\t\t1\t1",
		received + "\t2\t9999\t\t", sent + "\t\t\t2\t1",
	}
	if !slices.Equal(packets, want) {
		t.Errorf("tshark shows\n%s\nwant\n%s", strings.Join(packets, "\n"), strings.Join(want, "\n"))
	}
}

// What was captured can be replayed to a handler, whatever the link type.
func TestCapturesAreReplayed(t *testing.T) {
	addRules(t, lab.Log(logGroup, prefix, 0, 0), lab.Queue(queueNum, lab.Bypass))
	for _, link := range []string{"sll2", "netlink"} {
		packets := nfqueuetest.ReadCapture(t, messages(t, queueBound, "-queue", "7", "-link", link))
		if len(packets) != 2 || !strings.HasSuffix(string(packets[1].Payload), "again") || packets[1].Hook != nfnl.Output || packets[1].OutDev != 1 {
			t.Errorf("of link type %s there are %v", link, packets)
		}
	}
	for _, link := range []string{"sll2", "nflog", "netlink"} {
		packets := nflogtest.ReadCapture(t, messages(t, groupBound, "-group", "5", "-link", link))
		if len(packets) != 2 || !strings.HasSuffix(string(packets[1].Payload), "again") || packets[1].Hook != nfnl.Output || packets[1].OutDev != 1 {
			t.Errorf("of link type %s there are %v", link, packets)
		}
	}
}

// The directions of epb_flags, as tshark shows them.
const (
	received = "0x00000001"
	sent     = "0x00000002"
)

// With the link type NFLOG Wireshark shows what the kernel logged with a packet, and
// tcpdump the packet.
func TestLinkTypeNFLOG(t *testing.T) {
	need(t, "tshark")
	need(t, "tcpdump")
	addRules(t, lab.Log(logGroup, prefix, 0, 0))
	file := messages(t, groupBound, "-group", "5", "-link", "nflog")
	rows := tshark(t, file, "-Y", `nflog.prefix == "`+prefix+`"`, "-e", "nflog.uid", "-e", "nflog.ifindex_outdev", "-e", "udp.dstport",
		"-e", "frame.packet_id", "-e", "frame.interface_queue")
	if want := []string{"0\t1\t9999\t0\t5", "0\t1\t9999\t1\t5"}; !slices.Equal(rows, want) {
		t.Errorf("tshark shows %q, want %q", rows, want)
	}
	out, err := exec.Command("tcpdump", "-n", "-r", file).Output()
	must(t, err)
	if n := strings.Count(string(out), "> 127.0.0.1.9999: UDP"); n != 2 {
		t.Errorf("tcpdump shows %s", out)
	}
}

// What a link type cannot hold is refused.
func TestLinkTypesThatDoNotFit(t *testing.T) {
	for _, args := range [][]string{{"-queue", "7", "-link", "nflog"}, {"-group", "5", "-link", "ethernet"}} {
		out, err := capture(append(args, "-w", filepath.Join(t.TempDir(), "x"))...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), args[3]) && !strings.Contains(string(out), "NFLOG") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
}

// messages returns a file of what the program captures of two datagrams.
func messages(t *testing.T, bound func() bool, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump.pcapng")
	p := start(t, capture(append(args, "-w", file)...))
	until(t, "it captures", bound)
	send(t, target, "hello", "again")
	p.stop(t)
	return file
}
