// Skips reads what go test -v printed on several machines, a file for each:
//
//	skips FILE...
//
// It prints which tests only one machine shows, and exits with status 1 unless
// every test that was skipped on a machine passed on another one. A file is named
// after its machine.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	ok, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(out io.Writer, files []string) (ok bool, err error) {
	tests := make(results)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		machine := strings.TrimSuffix(filepath.Base(file), ".log")
		if tests.read(machine, string(b)) == 0 {
			return false, fmt.Errorf("no test passed on %s: %s is not of go test -v, or of nothing", machine, file)
		}
	}
	only, nowhere := tests.shownOnce(), tests.shownNowhere()
	fmt.Fprintf(out, "%d machines, %d tests; shown by one machine only:\n", len(files), len(tests))
	tests.print(out, only)
	if len(nowhere) > 0 {
		fmt.Fprintln(out, "skipped wherever they ran:")
		tests.print(out, nowhere)
	}
	return len(nowhere) == 0, nil
}
