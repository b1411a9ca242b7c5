// Bench measures nfpacket against programs in C and against the least that the
// kernel allows, side by side in one run, in a network namespace of its own:
//
//	go -C bench run .
//
// README.md tells how to read what it prints.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/nfpacket/nfpacket/internal/lab"
)

// flags are the command line.
type flags struct {
	short             bool
	only, programs    *regexp.Regexp
	rounds            int
	json, chart, plot string
	profiles          string
	quiet             bool
	also              []string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	f, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	if os.Geteuid() != 0 {
		log.Fatal("only root of the host gets receive buffers that hold as many packets as are measured: run it as root")
	}
	if err := lab.Enter(); err != nil {
		log.Fatal(err)
	}
	failed, err := measureAll(f)
	if err != nil {
		log.Fatal(err)
	}
	if failed {
		os.Exit(1) // what went wrong has been said
	}
}

// parseFlags parses a command line, and prints what is wrong with it.
func parseFlags(set *flag.FlagSet, args []string) (f flags, err error) {
	set.BoolVar(&f.short, "short", false, "measure little, to see that everything works; the numbers mean nothing")
	only := set.String("only", "", "measure only what matches this `expression`, such as 'accept|growth'")
	programs := set.String("programs", "", "measure only the programs that match this `expression`, such as '^libnetfilter|^nfpacket$'")
	set.IntVar(&f.rounds, "rounds", 0, "`number` of rounds; 0 is 7, and 2 with -short")
	set.StringVar(&f.json, "json", "", "write everything measured to `file`")
	set.StringVar(&f.chart, "chart", "", "draw the comparison to an SVG `file`")
	set.StringVar(&f.plot, "plot", "", "draw how cost grows to an SVG `file`")
	set.StringVar(&f.profiles, "profiles", "", "write CPU profiles of our programs to a `directory`")
	set.Func("also", "measure our program for queues with these `flags` too, such as '-batch 8'; may be repeated", func(flags string) error {
		f.also = append(f.also, flags)
		return nil
	})
	set.BoolVar(&f.quiet, "q", false, "do not tell what is being measured")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if f.only, err = regexp.Compile(*only); err != nil {
		return f, err
	}
	if f.programs, err = regexp.Compile(*programs); err != nil {
		return f, err
	}
	for _, file := range []string{f.json, f.chart, f.plot} {
		if _, err := os.Stat(filepath.Dir(file)); err != nil { // before ten minutes of measuring
			return f, err
		}
	}
	return f, nil
}

// selected returns the entries of c that are to be measured.
func (f *flags) selected(c contest) []entry {
	if !f.only.MatchString(c.name) {
		return nil
	}
	return slices.DeleteFunc(append(c.entries, c.variants(f.also)...), func(e entry) bool { return !f.programs.MatchString(e.name) })
}

// measureAll builds, measures and reports.
func measureAll(f flags) (failed bool, err error) {
	dir, err := os.MkdirTemp("", "nfpacket-bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	h, err := newHarness(f, dir)
	if err != nil {
		return false, err
	}
	defer h.site.close()

	r := &results{Machine: machine(), Short: f.short, Rounds: h.scale.rounds, Missing: h.missing}
	for _, c := range contests(h.scale) {
		if c.entries = f.selected(c); len(c.entries) == 0 {
			continue
		}
		o := h.hold(c)
		r.Contests = append(r.Contests, o)
		failed = failed || o.failed
	}
	r.Lines = evaluate(rows(), r.Contests)
	for _, s := range studies(h.scale, f.short) {
		if f.only.MatchString(s.name) {
			p, bad := h.holdStudy(s)
			r.Growth = append(r.Growth, p)
			failed = failed || bad
		}
	}
	if len(r.Contests)+len(r.Growth) == 0 {
		return false, fmt.Errorf("-only %s and -programs %s match nothing", f.only, f.programs)
	}
	report(os.Stdout, r)
	return failed, f.write(r)
}

// newHarness builds the programs and arranges the namespace.
func newHarness(f flags, dir string) (*harness, error) {
	h := &harness{scale: fullScale, profiles: f.profiles, log: log.Printf}
	if f.short {
		h.scale = shortScale
	}
	if f.rounds > 0 {
		h.scale.rounds = f.rounds
	}
	if f.quiet {
		h.log = log.New(io.Discard, "", 0).Printf
	}
	if _, err := os.Stat("c/floor.c"); err != nil {
		return nil, fmt.Errorf("run it in its own directory, with go -C bench run .: %w", err)
	}
	err := makeDir(f.profiles)
	if err != nil {
		return nil, err
	}
	if h.workshop, err = build(dir); err != nil {
		return nil, err
	}
	h.site, err = newSite()
	return h, err
}

// makeDir makes a directory, unless its name is empty.
func makeDir(name string) error {
	if name == "" {
		return nil
	}
	return os.MkdirAll(name, 0o755)
}

// write writes the files asked for.
func (f flags) write(r *results) error {
	var errs []error
	if f.json != "" {
		errs = append(errs, r.save(f.json))
	}
	if f.chart != "" {
		errs = append(errs, save(f.chart)(drawChart(r)))
	}
	if f.plot != "" {
		errs = append(errs, save(f.plot)(drawPlot(r.Growth)))
	}
	return errors.Join(errs...)
}

// save returns a function that writes a picture to the file, unless it could not
// be drawn.
func save(file string) func(picture []byte, err error) error {
	return func(picture []byte, err error) error {
		if err != nil {
			return err
		}
		return os.WriteFile(file, picture, 0o666)
	}
}
