//go:build linux

package exampletest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

var installLine = regexp.MustCompile(`(?m)^//\tgo run \S+ -install ?(.*)$`)

var tableLine = regexp.MustCompile(`(?m)^add table inet (\S+)$`)

// CheckRules checks the rules that -rules prints: the comment of main.go has each of
// them, and CheckInstall has no objections.
func CheckRules(t *testing.T, args ...string) {
	t.Helper()
	source, err := os.ReadFile("main.go")
	testkit.Must(t, err)
	for _, line := range commands(Shown(t)) {
		if !strings.Contains(string(source), "//\t"+line+"\n") {
			t.Errorf("the comment of main.go lacks the rule: %s", line)
		}
	}
	CheckInstall(t, args...)
}

// CheckInstall checks that nft and iptables-restore, where they are installed, take
// what -rules prints, and that with -install the rules are there for as long as the
// example runs. It runs the command with -install of the comment of main.go, or with
// args in place of that one's.
func CheckInstall(t *testing.T, args ...string) {
	t.Helper()
	var nft, restore strings.Builder
	for _, line := range commands(Shown(t)) {
		if strings.HasPrefix(line, "add ") {
			fmt.Fprintln(&nft, line)
		} else {
			restore.WriteString(restoreLine(line))
		}
	}
	taken := check(t, nft.String(), "nft", "-c", "-f", "-")
	check(t, restore.String(), "iptables-restore", "--test")
	source, err := os.ReadFile("main.go")
	testkit.Must(t, err)
	if line := installLine.FindSubmatch(source); line != nil && len(args) == 0 {
		// A shell takes the words apart as a user's does.
		words, err := exec.Command("sh", "-c", `printf '%s\n' `+string(line[1])).Output()
		testkit.Must(t, err)
		args = strings.FieldsFunc(string(words), func(r rune) bool { return r == '\n' })
	}
	checkInstall(t, tableLine.FindStringSubmatch(nft.String())[1], taken, args)
}

// commands returns the lines that are for nft and iptables.
func commands(shown string) []string {
	return slices.DeleteFunc(strings.Split(shown, "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "add ") && !strings.HasPrefix(line, "iptables ")
	})
}

// restoreLine turns a command into what iptables-restore reads.
func restoreLine(command string) string {
	args, table := strings.TrimPrefix(command, "iptables "), "filter"
	if rest, ok := strings.CutPrefix(args, "-t "); ok {
		table, args, _ = strings.Cut(rest, " ")
	}
	return fmt.Sprintf("*%s\n%s\nCOMMIT\n", table, args)
}

// check has a program look at text in a namespace, if the program is there, and
// reports whether the kernel takes what it says.
func check(t *testing.T, text string, args ...string) (taken bool) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Logf("not checked: there is no %s here", args[0])
		return false
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(text)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	testkit.Must(t, Net(t).Do(cmd.Start))
	err := cmd.Wait()
	// A kernel may lack the queue statement. That nft asked it is what counts.
	if err != nil && !strings.Contains(out.String(), "Could not process rule: No such file or directory") {
		t.Errorf("%v: %v: %s\n%s", args, err, out.String(), text)
	}
	return err == nil
}

// checkInstall runs the example with -install: its table is there until it ends,
// however that comes about. Where nft or the kernel does not take its rules it ends,
// says what to do, and leaves nothing behind.
func checkInstall(t *testing.T, table string, taken bool, args []string) {
	t.Helper()
	n := Net(t)
	cmd := command(append([]string{"-install"}, args...)...)
	cmd.Dir = t.TempDir() // for what it writes by default
	p, ready := run(t, n, cmd)
	switch {
	case ready && !strings.Contains(tables(t, n), "table inet "+table+"\n"):
		t.Errorf("-install installs no table %s", table)
	case !ready && strings.Contains(p.Log(), "this kernel lacks"):
		t.Logf("not installed: %s", p.Log())
	case !ready && (taken || !strings.Contains(p.Log(), "-rules prints")):
		t.Errorf("-install ends with: %s", p.Log())
	}
	p.Kill()
	for end := time.Now().Add(testkit.Patience); tables(t, n) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the example has ended, its table has not: %s", tables(t, n))
		}
	}
}

// tables returns what nft lists in the namespace, nothing where there is no nft.
func tables(t *testing.T, n *lab.Net) string {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		return ""
	}
	cmd := exec.Command("nft", "list", "tables")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	testkit.Must(t, n.Do(cmd.Start))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft list tables: %v: %s", err, out.String())
	}
	return out.String()
}
