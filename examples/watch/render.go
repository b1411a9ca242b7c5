package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nfpacket/nfpacket/nfqueue"
)

// A size is that of a window, in characters.
type size struct{ width, height int }

func (s *size) set(text string) error {
	_, err := fmt.Sscanf(text, "%dx%d", &s.width, &s.height)
	return err
}

// A status is what the queue as a whole is doing.
type status struct {
	queue  uint16
	stats  nfqueue.Stats
	kernel *nfqueue.KernelStats // nil where the kernel does not say
}

// String returns the status in a line.
func (s status) String() string {
	text := fmt.Sprintf("queue %d: %d packets, %d lost", s.queue, s.stats.Packets, s.stats.Lost)
	if s.kernel != nil {
		text += fmt.Sprintf(", %d found it full, %d waiting in the kernel", s.kernel.Full, s.kernel.Waiting)
	}
	return text
}

// How a line looks, in the terms of ECMA-48 (SGR).
const (
	plain   = "\x1b[0m"
	bold    = "\x1b[1m"
	faint   = "\x1b[2m"
	red     = "\x1b[31m"
	inverse = "\x1b[7m"
)

// render returns the lines of a window, as many as it has at most, and none longer
// than it is wide.
func render(v view, s status, rows []row, window size) (lines []string) {
	line := func(style, text string) {
		if len(lines) < window.height {
			lines = append(lines, style+fit(text, window.width)+plain)
		}
	}
	line(bold, s.String())
	line(inverse, header(v, window.width))
	shown := v.choose(rows)
	room := max(0, window.height-3) // beside these lines and the last
	for i, r := range shown {
		switch {
		case i == room:
		case i > room:
			continue
		case r.drops > 0:
			line(red, rowLine(r, window.width))
		default:
			line("", rowLine(r, window.width))
		}
	}
	for len(lines) < window.height-1 {
		line("", "")
	}
	line(faint, footer(v, len(shown), len(rows)))
	return lines
}

// header returns the titles, with a mark at the column that is sorted by.
func header(v view, width int) string {
	return cells("flow", width, func(i int, c column) string {
		switch {
		case i != v.sort:
			return c.title
		case v.reverse:
			return "^" + c.title
		}
		return "v" + c.title
	})
}

func rowLine(r row, width int) string {
	return cells(r.name, width, func(_ int, c column) string { return c.text(r) })
}

// cells returns a line: the name to the left, and of the columns those that leave
// it room.
func cells(name string, width int, text func(i int, c column) string) string {
	const least = 30 // for the name
	var right strings.Builder
	left := width
	for i, c := range columns {
		if left-c.width < least {
			break
		}
		left -= c.width
		fmt.Fprintf(&right, "%*s", c.width, text(i, c))
	}
	return fit(name, left) + right.String()
}

// fit returns text in exactly width characters.
func fit(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	return string([]rune(text)[:max(0, width)])
}

func footer(v view, shown, all int) string {
	text := fmt.Sprintf("%d of %d flows   p pause  s sort  r reverse  / filter  q quit", shown, all)
	switch {
	case v.typing:
		text = "filter: " + v.filter + "_"
	case v.filter != "":
		text = fmt.Sprintf("[%s] %s", v.filter, text)
	}
	if v.paused {
		text = "PAUSED " + text
	}
	return text
}

// plainLines returns what is printed of a round where there is no terminal: the
// status, and a line for each flow that had packets in it.
func plainLines(v view, s status, rows []row, now time.Time) (lines []string) {
	at := now.Format(time.TimeOnly)
	lines = append(lines, fmt.Sprintf("%s %v", at, s))
	for _, r := range v.choose(rows) {
		if r.packetRate > 0 {
			lines = append(lines, fmt.Sprintf("%s %s: %.1f packets/s, %s bytes/s, %d accepted, %d dropped",
				at, r.name, r.packetRate, short(r.rate), r.accepted, r.drops))
		}
	}
	return lines
}
