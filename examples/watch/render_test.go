package main

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Flows of the tests: a fast one, a slow one, and one that is dropped.
var (
	fast    = nfnl.Flow{Src: netip.MustParseAddrPort("192.0.2.2:1000"), Dst: netip.MustParseAddrPort("192.0.2.1:53"), Protocol: 17}
	slow    = nfnl.Flow{Src: netip.MustParseAddrPort("192.0.2.2:2000"), Dst: netip.MustParseAddrPort("192.0.2.1:80"), Protocol: 6}
	dropped = nfnl.Flow{Src: netip.MustParseAddrPort("[2001:db8::2]:3000"), Dst: netip.MustParseAddrPort("[2001:db8::1]:5003"), Protocol: 17}
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// watched returns a table after a round of two seconds.
func watched() *table {
	t := newTable(start)
	for range 20 {
		t.add(fast, 100, false, start)
	}
	t.add(slow, 1500, false, start)
	t.add(slow, 1500, false, start)
	for range 4 {
		t.add(dropped, 60, true, start)
	}
	t.tick(start.Add(2 * time.Second))
	return t
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]*m")

// text returns lines without their colours.
func text(lines []string) []string {
	plain := slices.Clone(lines)
	for i := range plain {
		plain[i] = sgr.ReplaceAllString(plain[i], "")
	}
	return plain
}

func names(rows []row) (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func TestTableShowsRatesAndVerdicts(t *testing.T) {
	lines := text(render(view{}, status{queue: 7, stats: nfqueue.Stats{Packets: 26, Lost: 3}}, watched().rows(), size{110, 10}))
	for i, want := range []string{
		"queue 7: 26 packets, 3 lost",
		"flow .* vpackets/s +bytes/s +packets +accepted +dropped",
		"udp 192.0.2.2:1000 > 192.0.2.1:53 +10.0 +1.0k +20 +20 +0",
		`udp \[2001:db8::2\]:3000 > \[2001:db8::1\]:5003 +2.0 +120 +4 +0 +4`,
		"tcp 192.0.2.2:2000 > 192.0.2.1:80 +1.0 +1.5k +2 +2 +0",
	} {
		if !regexp.MustCompile("^" + want + " *$").MatchString(lines[i]) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if last := lines[9]; !strings.HasPrefix(last, "3 of 3 flows") {
		t.Errorf("the last line is %q", last)
	}
}

func TestStatusShowsWhatTheKernelHolds(t *testing.T) {
	s := status{queue: 7, kernel: &nfqueue.KernelStats{Waiting: 5, Full: 2}}
	if got := s.String(); !strings.Contains(got, "2 found it full, 5 waiting in the kernel") {
		t.Error(got)
	}
}

// Whatever the window, no line is longer and there are no more lines than it has.
func TestFrameFitsTheWindow(t *testing.T) {
	rows := watched().rows()
	for range 50 {
		rows = append(rows, rows[0])
	}
	for width := range 130 {
		for height := range 20 {
			lines := text(render(view{filter: "udp", paused: true}, status{}, rows, size{width, height}))
			if len(lines) != height {
				t.Fatalf("%d lines in a window of %dx%d", len(lines), width, height)
			}
			for _, l := range lines {
				if utf8.RuneCountInString(l) != width {
					t.Fatalf("a window of %dx%d has the line %q", width, height, l)
				}
			}
		}
	}
}

func TestFlowsAreSortedByTheChosenColumn(t *testing.T) {
	rows := watched().rows()
	for sort, want := range []string{"1000", "2000", "1000", "1000", "3000"} {
		if first := (view{sort: sort}).choose(rows)[0].name; !strings.Contains(first, want) {
			t.Errorf("by %s the first flow is %s", columns[sort].title, first)
		}
		if last := (view{sort: sort, reverse: true}).choose(rows)[2].name; !strings.Contains(last, want) {
			t.Errorf("by %s, turned round, the last flow is %s", columns[sort].title, last)
		}
	}
}

func TestFilterLeavesMatchingFlows(t *testing.T) {
	if got := names(view{filter: "tcp 192"}.choose(watched().rows())); len(got) != 1 || !strings.Contains(got[0], "2000") {
		t.Errorf("shown: %q", got)
	}
}

func TestIdleFlowsAreForgotten(t *testing.T) {
	table := watched()
	table.add(fast, 100, false, start.Add(idle))
	table.tick(start.Add(idle + time.Second))
	if got := names(table.rows()); len(got) != 1 || !strings.Contains(got[0], "1000") {
		t.Errorf("left: %q", got)
	}
	if r := table.rows()[0]; r.packets != 21 {
		t.Errorf("%d packets are counted", r.packets)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		want view
		quit bool
	}{
		{"pause", []string{"p"}, view{paused: true}, false},
		{"pause twice", []string{"pp"}, view{}, false},
		{"sort", []string{"s", "s"}, view{sort: 2}, false},
		{"sort goes round", []string{"sssss"}, view{}, false},
		{"reverse", []string{"r"}, view{reverse: true}, false},
		{"filter", []string{"/", "u", "dp\r"}, view{filter: "udp"}, false},
		{"filter is typed", []string{"/q"}, view{filter: "q", typing: true}, false},
		{"backspace", []string{"/aé\x7f\x7f\x7fb\n"}, view{filter: "b"}, false},
		{"escape while typing", []string{"/ab", "\x1b"}, view{}, false},
		{"escape takes the filter away", []string{"/ab\r", "\x1b"}, view{}, false},
		{"arrows", []string{"\x1b[A", "\x1bOP"}, view{}, false},
		{"quit", []string{"q"}, view{}, true},
		{"unknown", []string{"xyz\x00\xff"}, view{}, false},
	} {
		var v view
		quit := false
		for _, k := range c.keys {
			quit = v.press(k)
		}
		if v != c.want || quit != c.quit {
			t.Errorf("%s: %+v, quit %v", c.name, v, quit)
		}
	}
}

func TestPlainLinesHaveTheFlowsOfTheRound(t *testing.T) {
	table := watched()
	lines := plainLines(view{}, status{queue: 7}, table.rows(), start)
	if len(lines) != 4 || lines[1] != "03:04:05 udp 192.0.2.2:1000 > 192.0.2.1:53: 10.0 packets/s, 1.0k bytes/s, 20 accepted, 0 dropped" {
		t.Errorf("%q", lines)
	}
	table.tick(start.Add(4 * time.Second))
	if lines := plainLines(view{}, status{queue: 7}, table.rows(), start); len(lines) != 1 {
		t.Errorf("after a round without packets: %q", lines)
	}
}

func TestNumbersAreShort(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 999.6: "1.0k", 1234: "1.2k", 9960: "10k", 123456: "123k", 5e6: "5.0M", 7e9: "7.0G", 3e12: "3T"} {
		if got := short(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
}
