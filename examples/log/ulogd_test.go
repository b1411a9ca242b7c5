//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// One rule logs each packet to two groups: ulogd2 reads one and the example the
// other.
func TestRecordsAreThoseOfUlogd(t *testing.T) {
	host, far := exampletest.Net(t), exampletest.Net(t)
	testkit.Must(t, host.Veth("near", far, "far"))
	for _, end := range []struct {
		n                 *lab.Net
		device, four, six string
	}{{host, "near", "192.0.2.1/24", "2001:db8::1/64"}, {far, "far", "192.0.2.2/24", "2001:db8::2/64"}} {
		testkit.Must(t, end.n.Up(end.device))
		testkit.Must(t, end.n.AddAddr(end.device, netip.MustParsePrefix(end.four)))
		testkit.Must(t, end.n.AddAddr(end.device, netip.MustParsePrefix(end.six)))
	}
	file := startUlogd(t, host)
	p := exampletest.Run(t, host, "-ulogd")
	for _, hook := range []lab.Hook{lab.Prerouting, lab.Output} {
		c, err := host.Chain(lab.Inet, hook, -400) // before fragments are put together
		testkit.Must(t, err)
		_, err = c.Add(lab.L4(syscall.IPPROTO_UDP), lab.SetMark(7))
		testkit.Must(t, err)
		_, err = c.Add(lab.Log(5, "both ", 0, 0), lab.Log(6, "both ", 0, 0))
		testkit.Must(t, err)
	}

	for _, address := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // where nobody listens: the answers are ICMP and resets
		for _, from := range []*lab.Net{host, far} {
			send(t, from, address, "hello")
			if c, err := from.Dial("tcp", address); err == nil {
				c.Close()
				t.Error("somebody listens")
			}
		}
	}
	send(t, far, "192.0.2.1:9", strings.Repeat("fragmented", 300))
	send(t, host, "192.0.2.1:10", "the last")

	seen := map[string]int{}
	for i := 0; ; i++ {
		ours, theirs := decode(t, p.Next()), decode(t, line(t, file, i))
		compare(t, ours, theirs)
		seen[fmt.Sprint(theirs["oob.family"], " ", theirs["ip.protocol"])]++
		if theirs["dest_port"] == 10.0 {
			break
		}
	}
	for _, kind := range []string{"2 1", "2 6", "2 17", "10 6", "10 17", "10 58"} {
		if seen[kind] == 0 {
			t.Errorf("no packet of family and protocol %s was compared: %v", kind, seen)
		}
	}
}

// send sends a datagram.
func send(t *testing.T, from *lab.Net, address, text string) {
	t.Helper()
	c, err := from.Dial("udp", address)
	testkit.Must(t, err)
	defer c.Close()
	exampletest.Send(t, c, text)
}

// startUlogd starts ulogd2 on group 6, and returns the file to which it writes.
func startUlogd(t *testing.T, n *lab.Net) (file string) {
	t.Helper()
	program, err := exec.LookPath("ulogd")
	if err != nil {
		t.Skip("there is no ulogd here (Debian's ulogd2 and ulogd2-json)")
	}
	var plugins string
	for _, name := range []string{"inppkt_NFLOG", "raw2packet_BASE", "filter_IFINDEX", "filter_IP2STR", "filter_HWHDR", "output_JSON"} {
		found, _ := filepath.Glob("/usr/lib/*/ulogd/ulogd_" + name + ".so")
		if len(found) == 0 {
			t.Skipf("ulogd's plugin %s is not here (Debian's ulogd2-json)", name)
		}
		plugins += fmt.Sprintf("plugin=%q\n", found[0])
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "json")
	config := filepath.Join(dir, "ulogd.conf")
	text := fmt.Sprintf("[global]\nloglevel=3\nlogfile=%q\n%sstack=l:NFLOG,b:BASE,i:IFINDEX,p:IP2STR,h:HWHDR,j:JSON\n[l]\ngroup=6\n[j]\nsync=1\nfile=%q\n",
		filepath.Join(dir, "log"), plugins, file)
	testkit.Must(t, os.WriteFile(config, []byte(text), 0o600))
	cmd := exec.Command(program, "-c", config)
	testkit.Must(t, n.Do(cmd.Start))
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	wait(t, "ulogd does not begin", func() bool {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return strings.Contains(string(log), "entering main loop")
	})
	return file
}

// wait waits until done returns true.
func wait(t *testing.T, failure string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(failure)
		}
	}
}

// line returns a line of a file that grows.
func line(t *testing.T, file string, i int) (text string) {
	t.Helper()
	wait(t, fmt.Sprintf("ulogd does not write record %d", i), func() bool {
		all, _ := os.ReadFile(file)
		lines := strings.SplitAfter(string(all), "\n")
		if len(lines) > i+1 {
			text = lines[i]
		}
		return text != ""
	})
	return text
}

func decode(t *testing.T, text string) (r map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

// compare compares two records of a packet, field by field. When it was logged
// both programs may have to ask their own clock: the form of that is the same.
func compare(t *testing.T, ours, theirs map[string]any) {
	t.Helper()
	for _, r := range []map[string]any{ours, theirs} {
		sec, usec := int64(r["oob.time.sec"].(float64)), int64(r["oob.time.usec"].(float64))
		if want := time.Unix(sec, usec*1000).Format("2006-01-02T15:04:05.000000"); r["timestamp"] != want {
			t.Errorf("the timestamp is %v, which should be %v", r["timestamp"], want)
		}
		delete(r, "timestamp")
		delete(r, "oob.time.sec")
		delete(r, "oob.time.usec")
	}
	if offset, ok := theirs["ip.fragoff"].(float64); ok && int(offset)&0x1fff != 0 {
		for _, key := range []string{"src_port", "dest_port", "udp.len", "udp.csum"} {
			delete(theirs, key) // which it reads from the middle of the datagram
		}
	}
	both := maps.Clone(ours)
	maps.Copy(both, theirs)
	for _, key := range slices.Sorted(maps.Keys(both)) {
		if ours[key] != theirs[key] {
			t.Errorf("%s is %v, and ulogd writes %v; its record: %v", key, ours[key], theirs[key], theirs)
		}
	}
}
