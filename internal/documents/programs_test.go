//go:build linux

package documents

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// needs skips the test on systems without a program.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here, whose word is asked", program)
		}
	}
}

// pair returns a receiver in the router at port 9999, and a sender to it.
func (r *router) pair(t *testing.T) (net.PacketConn, net.Conn) {
	t.Helper()
	to, err := r.ListenPacket("udp", "127.0.0.1:9999")
	testkit.Must(t, err)
	t.Cleanup(func() { to.Close() })
	from, err := r.Dial("udp", "127.0.0.1:9999")
	testkit.Must(t, err)
	t.Cleanup(func() { from.Close() })
	return to, from
}

// arrives reports whether a datagram comes before d has passed.
func arrives(t *testing.T, to net.PacketConn, d time.Duration) bool {
	t.Helper()
	testkit.Must(t, to.SetReadDeadline(time.Now().Add(d)))
	_, _, err := to.ReadFrom(make([]byte, 100))
	return err == nil
}

// Which commands make the kernel drop all packets that wait in queues of the
// namespace: those that delete a base chain, whatever it was for.
func TestCommandsThatDropWhatWaits(t *testing.T) {
	needs(t, "nft", "iptables")
	for command, drops := range map[string]bool{
		"iptables-save | iptables-restore":                 true,
		"iptables -X":                                      true,
		"nft delete table inet other":                      true,
		"nft delete chain inet other c":                    true,
		"iptables -F":                                      false,
		"nft flush chain inet other c":                     false,
		"nft flush table inet other":                       false,
		"nft add rule inet other c counter":                false,
		"iptables -A OUTPUT -p udp":                        false,
		"iptables-save | grep -v ^: | iptables-restore -n": false,
		"printf 'flush table inet other' | nft -f -":       false,
		"printf 'table inet other; delete table inet other; table inet other' | tr ';' '\\n' | nft -f -": true,
	} {
		t.Run(command, func(t *testing.T) {
			r := newRouter(t)
			q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Socket: nfnl.Config{NetNS: r.FD()}})
			testkit.Must(t, err)
			defer q.Close()
			r.command(t, "", "iptables", "-A", "OUTPUT", "-p", "udp", "--dport", "9999", "-j", "NFQUEUE", "--queue-num", "7")
			r.command(t, "", "iptables", "-P", "INPUT", "ACCEPT") // makes the chain
			r.command(t, "table inet other {\nchain c {\ntype filter hook output priority 50\n}\n}", "nft", "-f", "-")
			to, from := r.pair(t)
			_, err = from.Write([]byte("x"))
			testkit.Must(t, err)
			b := q.NewBatch()
			testkit.Must(t, q.SetReadDeadline(time.Now().Add(testkit.Patience)))
			testkit.Must(t, q.Receive(b))
			b.Verdicts[0] = nfqueue.Accept()
			r.command(t, "", "sh", "-c", command)
			testkit.Must(t, q.Send(b))
			wait := testkit.Patience
			if drops {
				wait = 50 * time.Millisecond
			}
			if arrives(t, to, wait) == drops {
				t.Errorf("the packet was dropped: %v, want %v", !drops, drops)
			}
		})
	}
}

// What docs/troubleshooting.md says to look at shows a packet that waits, its rules
// and its way.
func TestCommandsThatShowWhereAPacketIs(t *testing.T) {
	needs(t, "nft", "iptables")
	r := newRouter(t)
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, Socket: nfnl.Config{NetNS: r.FD()}})
	testkit.Must(t, err)
	defer q.Close()
	r.command(t, "", "iptables", "-A", "OUTPUT", "-p", "udp", "--dport", "9999", "-j", "NFQUEUE", "--queue-num", "7")
	r.command(t, "table inet other {\nchain c {\ntype filter hook output priority -1\nudp dport 9999 counter\n}\n}", "nft", "-f", "-")
	_, from := r.pair(t)
	_, err = from.Write([]byte("x"))
	testkit.Must(t, err)
	text, err := os.ReadFile("../../docs/troubleshooting.md")
	testkit.Must(t, err)
	for command, shows := range map[string]string{
		"nft list ruleset":                        `udp dport 9999 counter packets 1 `,
		"iptables -nvL":                           `(?m)^ +1 .* NFQUEUE .* NFQUEUE num 7$`,
		"cat /proc/net/netfilter/nfnetlink_queue": `(?m)^ +7 +\d+ +1 `, // one packet waits
	} {
		if !strings.Contains(string(text), "`"+command+"`") {
			t.Errorf("docs/troubleshooting.md does not have %s", command)
		}
		command = strings.Replace(command, "/proc/net", "/proc/thread-self/net", 1) // of the namespace of the thread
		if out := r.command(t, "", strings.Fields(command)...); !regexp.MustCompile(shows).MatchString(out) {
			t.Errorf("%s shows no %s: %s", command, shows, out)
		}
	}
}

// iptables' TRACE, in the variant that is called legacy, logs through the
// namespace's logger to group 0: each rule and policy that the packet meets.
func TestTraceOfLegacyIptablesIsLogged(t *testing.T) {
	needs(t, "iptables-legacy")
	r := newRouter(t)
	trace := strings.Fields("iptables-legacy -t raw -A OUTPUT -p udp --dport 9999 -j TRACE")
	if err := r.Do(exec.Command(trace[0], trace[1:]...).Run); err != nil {
		t.Skipf("this kernel or user has no tables of iptables-legacy: %v", err)
	}
	log, err := nflog.Open(nflog.Config{Groups: []uint16{0}, Threshold: 1, Socket: nfnl.Config{NetNS: r.FD()}})
	testkit.Must(t, err)
	defer log.Close()
	testkit.Must(t, log.SetNamespaceLogger(nfnl.IPv4))
	to, from := r.pair(t)
	_, err = from.Write([]byte("x"))
	testkit.Must(t, err)
	if !arrives(t, to, testkit.Patience) {
		t.Fatal("the packet did not arrive")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for p, err := range log.Packets(ctx) {
		testkit.Must(t, err)
		got := fmt.Sprintf("%s%v", p.Prefix, p.Hook)
		if want := "TRACE: raw:OUTPUT:policy:2 output"; got != want || p.Group != 0 {
			t.Errorf("group %d: %q, want group 0: %q", p.Group, got, want)
		}
		break
	}
}

// A rule can count a connection's packets: the seven that it says are fewer than
// eight.
func TestFirstPacketsByTheConnectionsCounter(t *testing.T) {
	needs(t, "nft")
	r := newRouter(t)
	testkit.Must(t, r.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
	r.command(t, `table inet demo {
		chain out {
			type filter hook output priority filter
			udp dport 9999 ct original packets < 8 counter comment "first"
		}
	}`, "nft", "-f", "-")
	_, from := r.pair(t)
	for range 20 {
		_, err := from.Write([]byte("x"))
		testkit.Must(t, err)
	}
	if n := counter(t, r.command(t, "", "nft", "list", "ruleset"), `counter packets (\d+) .*comment "first"`); n != 7 {
		t.Errorf("the rule matched %d packets, want 7", n)
	}
}

// Rules that look right and log elsewhere, or nothing.
func TestLogRulesThatLogElsewhere(t *testing.T) {
	needs(t, "nft", "iptables")
	r := newRouter(t)
	log, err := nflog.Open(nflog.Config{Groups: []uint16{0, 5}, Threshold: 1, Socket: nfnl.Config{NetNS: r.FD()}})
	testkit.Must(t, err)
	defer log.Close()
	r.command(t, `table inet demo {
		chain out {
			type filter hook output priority filter
			udp dport 9999 log prefix "no group"
		}
	}`, "nft", "-f", "-")
	for _, rule := range []string{
		"--nflog-prefix 5",                   // meant for --nflog-group
		"--nflog-group 5 --nflog-size 0",     // no bytes
		"--nflog-group 5 --nflog-prefix all", // as it should be
	} {
		r.command(t, "", strings.Fields("iptables -A OUTPUT -p udp --dport 9999 -j NFLOG "+rule)...)
	}
	_, from := r.pair(t)
	_, err = from.Write([]byte("hello"))
	testkit.Must(t, err)
	type got struct {
		group  uint16
		prefix string
		bytes  int
	}
	want := map[got]bool{{0, "5", 33}: true, {5, "", 0}: true, {5, "all", 33}: true}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for p, err := range log.Packets(ctx) {
		testkit.Must(t, err)
		g := got{p.Group, string(p.Prefix), len(p.Payload)}
		if !want[g] {
			t.Errorf("logged to group %d, prefix %q, %d bytes", p.Group, p.Prefix, len(p.Payload))
		}
		if delete(want, g); len(want) == 0 {
			break
		}
	}
}
