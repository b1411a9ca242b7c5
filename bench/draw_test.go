package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

// wellFormed fails the test unless b is XML, and was drawn without an error.
func wellFormed(t *testing.T, b []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, b)
		}
	}
}

// someResults are of one contest, in which we took half of the library's time.
func someResults() *results {
	run := func(ns int64) sample {
		return sample{Result: subject.Result{Packets: 1000, WallNS: ns, UserNS: ns, RSSKB: 6000, Mallocs: 1}}
	}
	o := outcome{
		Contest: accept64,
		Entries: []string{floor, library, ours},
		Rounds:  []round{{library: run(2000), ours: run(1000)}},
		Absent:  map[string]string{floor: "not built"},
	}
	return &results{Machine: "a < b & c", Rounds: 1, Contests: []outcome{o}, Lines: evaluate(rows(), []outcome{o})}
}

func TestChart(t *testing.T) {
	b, err := drawChart(someResults())
	wellFormed(t, b, err)
	if !regexp.MustCompile(`> ?2\.00<`).Match(b) {
		t.Errorf("the chart does not show that we are twice as fast:\n%s", b)
	}
	b, err = drawChart(&results{})
	wellFormed(t, b, err)
}

func TestPlot(t *testing.T) {
	b, err := drawPlot([]panel{{
		YLabel: "time", XLabel: "size", Log: true,
		Curves: []curve{{Name: ours, X: []int{64, 65000}, Y: []float64{1, 30}, Low: []float64{0.9, 28}, High: []float64{1.2, 33}}},
	}, {
		YLabel: "nothing", Curves: []curve{{Name: floor, Absent: "not built"}},
	}})
	wellFormed(t, b, err)
	b, err = drawPlot(nil)
	wellFormed(t, b, err)
}

func TestReport(t *testing.T) {
	var b strings.Builder
	report(&b, someResults())
	for _, want := range []string{
		"| accept, 64 B | nfpacket: packets a second | libnetfilter_queue | ≥ 1.50 | 2.00 | 2.00 to 2.00 | yes |",
		"C, least possible: not built",
		"| nfpacket | 0.50 | 0.50 | 6.0 | 0.00 |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}
