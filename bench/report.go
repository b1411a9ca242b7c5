package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A line is a row with what was measured.
type line struct {
	Contest string  `json:"contest"`
	What    string  `json:"what"`
	Against string  `json:"against,omitempty"`
	Goal    string  `json:"goal,omitempty"`
	Met     bool    `json:"met"`
	Spread  *spread `json:"spread,omitempty"` // nil: could not be measured
	Absent  string  `json:"absent,omitempty"` // why

	row row
}

// evaluate takes the rows out of the outcomes.
func evaluate(rs []row, outcomes []outcome) []line {
	var lines []line
	for _, r := range rs {
		i := slices.IndexFunc(outcomes, func(o outcome) bool { return o.Contest == r.contest })
		if i < 0 {
			continue // not selected
		}
		o := &outcomes[i]
		l := line{Contest: r.contest, What: r.what, Against: r.against, Goal: r.goal.String(), row: r}
		if o.has(r.needs...) {
			s := spreadOf(o.values(r.value))
			l.Spread, l.Met = &s, r.goal.met(s.Median)
		} else {
			l.Absent = o.why(r.needs)
		}
		lines = append(lines, l)
	}
	return lines
}

// why tells what keeps a row from being measured.
func (o *outcome) why(needs []string) string {
	for _, e := range needs {
		if why := o.Absent[e]; why != "" {
			return e + ": " + why
		}
		if !slices.Contains(o.Entries, e) {
			return e + ": left out by -programs"
		}
	}
	return "no rounds"
}

// report writes both tables in Markdown.
func report(w io.Writer, r *results) {
	fmt.Fprintf(w, "%s\n\n", r.Machine)
	if r.Short {
		fmt.Fprint(w, "Measured with -short: the numbers mean nothing.\n\n")
	}
	if len(r.Lines) > 0 {
		fmt.Fprintf(w, "Ratios of runs side by side, the median of %d rounds:\n\n", r.Rounds)
		reportLines(w, r.Lines, !r.Short)
	}
	for _, o := range r.Contests {
		reportContest(w, &o)
	}
	for _, p := range r.Growth {
		reportPanel(w, p)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "\nMissing: %s.\n", m)
	}
}

// reportLines writes the table of ratios; judge says whether goals are met.
func reportLines(w io.Writer, lines []line, judge bool) {
	fmt.Fprintln(w, "| work | what | against | goal | median | least to most | met |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, l := range lines {
		cells := []string{l.Contest, l.What, l.Against, l.Goal, l.Absent, "", ""}
		if l.Spread != nil {
			g := l.row.goal
			cells[4] = g.format(l.Spread.Median)
			cells[5] = g.format(l.Spread.Min) + " to " + g.format(l.Spread.Max)
			cells[6] = map[bool]string{true: "yes", false: "**no**"}[l.Met]
		}
		if l.Goal == "" || !judge {
			cells[6] = ""
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}

// columns are what the table of a contest can have. Times are told in units of
// the first entry's that has them, for those of one machine mean nothing on another.
var columns = []struct {
	name     string
	of       func(sample) float64
	relative bool
	format   string
}{
	{"time a packet", each, true, "%.2f"},
	{"CPU time a packet", cpu, true, "%.2f"},
	{"p50", p50, true, "%.2f"},
	{"p90", p90, true, "%.2f"},
	{"p99", p99, true, "%.2f"},
	{"throughput", flow, true, "%.2f"},
	{"requests a second", asks, true, "%.2f"},
	{"lost, %", lost, false, "%.1f"},
	{"memory, MB", memory, false, "%.1f"},
	{"system calls a packet", callsEach, false, "%.3f"},
	{"allocations a packet", allocations, false, "%.2f"},
	{"voluntary context switches a packet", switches, false, "%.3f"},
	{"bytes carried a packet", size, false, "%.0f"},
}

// reportContest writes the medians of all entries.
func reportContest(w io.Writer, o *outcome) {
	entries := slices.DeleteFunc(slices.Clone(o.Entries), func(e string) bool { return !o.has(e) })
	if len(entries) == 0 {
		return
	}
	head, rule := "| "+o.Contest+" |", "| --- |"
	lines := make([]string, len(entries))
	for _, c := range columns {
		first := o.first(entries, c.of)
		var cells []string
		for _, e := range entries {
			v := o.median(e, c.of)
			if c.relative {
				v /= first
			}
			cells = append(cells, cell(c.format, v))
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		head, rule = head+" "+c.name+" |", rule+" --- |"
		for i := range lines {
			lines[i] += " " + cells[i] + " |"
		}
	}
	fmt.Fprintf(w, "\n%s\n%s\n", head, rule)
	for i, e := range entries {
		fmt.Fprintf(w, "| %s |%s\n", e, lines[i])
	}
}

// reportPanel writes the medians of a study.
func reportPanel(w io.Writer, p panel) {
	fmt.Fprintf(w, "\n| %s: %s by %s |", p.Name, p.YLabel, p.XLabel)
	rule := "| --- |"
	for _, x := range p.xs() {
		fmt.Fprintf(w, " %d |", x)
		rule += " --- |"
	}
	fmt.Fprintf(w, "\n%s\n", rule)
	for _, c := range p.Curves {
		fmt.Fprintf(w, "| %s |", c.Name)
		for _, x := range p.xs() {
			v := math.NaN()
			if i := slices.Index(c.X, x); i >= 0 {
				v = c.Y[i]
			}
			fmt.Fprintf(w, " %s |", cell("%.2f", v))
		}
		fmt.Fprintln(w)
	}
}

// first returns the median of the first entry that has one: the unit of the others.
func (o *outcome) first(entries []string, of func(sample) float64) float64 {
	for _, e := range entries {
		if v := o.median(e, of); !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

// median returns the median of an entry's rounds.
func (o *outcome) median(entry string, of func(sample) float64) float64 {
	return spreadOf(o.values(func(r round) float64 { return of(r[entry]) })).Median
}

// cell is empty for what was not measured.
func cell(format string, v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf(format, v)
}
