package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A cProgram is one of c/.
type cProgram struct {
	name    string
	sources []string
	flags   []string
	library string // a header that has to be there
	pkg     string // the Debian package that has it
}

var cPrograms = []cProgram{
	{"floor", []string{"floor.c", "queue.c", "bench.c"}, []string{"-lmnl", "-pthread"}, "libmnl/libmnl.h", "libmnl-dev"},
	{"verdicts", []string{"verdicts.c", "queue.c", "bench.c"}, []string{"-lmnl"}, "libmnl/libmnl.h", "libmnl-dev"},
	{"order", []string{"order.c", "queue.c", "bench.c"}, []string{"-lmnl"}, "libmnl/libmnl.h", "libmnl-dev"},
	{"libqueue", []string{"libqueue.c", "bench.c"}, []string{"-lnetfilter_queue"}, "libnetfilter_queue/libnetfilter_queue.h", "libnetfilter-queue-dev"},
	{"liblog", []string{"liblog.c", "bench.c"}, []string{"-lnetfilter_log"}, "libnetfilter_log/libnetfilter_log.h", "libnetfilter-log-dev"},
	{"pingpong", []string{"pingpong.c", "bench.c"}, nil, "stdio.h", "libc6-dev"},
}

// goPrograms are those of go/.
var goPrograms = []string{"queue", "log", "conn", "gonfqueue", "gonflog", "web", "connects"}

// A workshop has the programs that could be built.
type workshop struct {
	dir     string
	missing []string // what could not be built, and what to install
}

// build builds all programs into dir. What is missing on this system is noted,
// what does not compile is an error.
func build(dir string) (*workshop, error) {
	w := &workshop{dir: dir}
	for _, name := range goPrograms {
		if err := run("go", "build", "-o", w.path(name), "./go/"+name); err != nil {
			return nil, err
		}
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		w.missing = append(w.missing, "no C compiler, so no C program to compare with: apt-get install gcc libc6-dev")
		return w, nil
	}
	for _, p := range cPrograms {
		if !hasHeader(cc, p.library) {
			w.missing = append(w.missing, fmt.Sprintf("no %s, so no program %q to compare with: apt-get install %s", p.library, p.name, p.pkg))
			continue
		}
		args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-o", w.path(p.name)}
		for _, s := range p.sources {
			args = append(args, filepath.Join("c", s))
		}
		if err := run(cc, append(args, p.flags...)...); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// path returns where a program is, or would be.
func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

// has reports whether a program was built.
func (w *workshop) has(name string) bool {
	_, err := os.Stat(w.path(name))
	return err == nil
}

// hasHeader asks the compiler, which knows where to look.
func hasHeader(cc, header string) bool {
	cmd := exec.Command(cc, "-E", "-x", "c", "-")
	cmd.Stdin = strings.NewReader("#include <" + header + ">\n")
	return cmd.Run() == nil
}

// run runs a command and returns what it printed as the error.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
