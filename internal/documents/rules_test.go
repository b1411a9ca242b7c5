//go:build linux

package documents

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }

// A pair is a rule of nft and the one of iptables that a document says is the
// same.
type pair struct{ nft, iptables string }

// A set is what one document has, in order: the tables and chains of nft's rules, the
// rules, and the pairs.
type set struct {
	bases []string
	rules []string // of nft, with and without a rule of iptables beside them
	pairs []pair
}

var (
	nftLine      = regexp.MustCompile(`^(?:nft )?(add (?:table|chain|rule) .*)$`)
	iptablesLine = regexp.MustCompile(`^iptables .*$`)
)

// read returns what the lines of a document say. Rules of iptables belong to as
// many rules of nft before them.
func read(t *testing.T, text string) (s set) {
	t.Helper()
	var iptables []string
	flush := func() {
		if len(iptables) > len(s.rules) {
			t.Fatalf("%q has no rule of nft beside it", iptables)
		}
		for i, rule := range iptables {
			s.pairs = append(s.pairs, pair{s.rules[len(s.rules)-len(iptables)+i], rule})
		}
		iptables = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "//"))
		if m := nftLine.FindStringSubmatch(line); m != nil {
			flush()
			if strings.HasPrefix(m[1], "add rule") {
				s.rules = append(s.rules, unquoted(m[1]))
			} else {
				s.bases = append(s.bases, unquoted(m[1]))
			}
		} else if iptablesLine.MatchString(line) {
			iptables = append(iptables, line)
		}
	}
	flush()
	return s
}

// unquoted takes away the quotes that a shell takes away.
func unquoted(line string) string { return strings.ReplaceAll(line, "'", "") }

// documents returns the files that have rules of both programs.
func documents(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "nfqueue/*.go", "nflog/*.go", "examples/*/main.go"} {
		names, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	if len(all) == 0 {
		t.Skip("only the folder of this package is here")
	}
	return all
}

// Rules that stand side by side in a document match the same packets.
func TestRulesOfNftAndIptablesMatchTheSame(t *testing.T) {
	needs(t, "nft", "iptables")
	lab.Require(t)
	found := 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := read(t, string(text))
		if found += len(s.pairs); len(s.pairs) > 0 {
			t.Run(strings.TrimPrefix(name, "../../"), func(t *testing.T) { compare(t, s) })
		}
	}
	if found < 8 {
		t.Errorf("only %d pairs of rules were found", found)
	}
}

// Every rule of nft is one that nft takes, in the chains of its document or else in
// those that the others have. A kernel may lack the queue statement. That nft asked it is what
// counts.
func TestNftTakesEveryRule(t *testing.T) {
	needs(t, "nft")
	lab.Require(t)
	const others = `add table inet demo
		add chain inet demo in { type filter hook input priority filter; }
		add chain inet demo out { type filter hook output priority filter; }
		add table ip filter
		add chain ip filter input { type filter hook input priority filter; }
		`
	n, found := newNet(t), 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		testkit.Must(t, err)
		s := read(t, string(text))
		for _, rule := range s.rules {
			found++
			cmd := exec.Command("nft", "-c", "-f", "-")
			cmd.Stdin = strings.NewReader(others + strings.Join(s.bases, "\n") + "\n" + rule)
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			testkit.Must(t, n.Do(cmd.Start))
			if err := cmd.Wait(); err != nil && !strings.Contains(out.String(), "Could not process rule: No such file or directory") {
				t.Errorf("%s: %s: %v: %s", name, rule, err, out.String())
			}
		}
	}
	if found < 25 {
		t.Errorf("only %d rules were found", found)
	}
}

// The test would see it if a pair were unlike.
func TestUnlikeRulesAreSeen(t *testing.T) {
	needs(t, "nft", "iptables")
	lab.Require(t)
	s := read(t, `
		nft add table inet demo
		nft add chain inet demo out '{ type filter hook output priority 0; }'
		nft add rule inet demo out tcp flags syn log group 5
		iptables -I OUTPUT -p tcp --syn -j NFLOG --nflog-group 5`)
	nft, iptables := count(t, s)
	if nft[0] <= iptables[0] || iptables[0] == 0 {
		t.Errorf("tcp flags syn matched %d packets and --syn %d", nft[0], iptables[0])
	}
}

// compare fails the test unless the rules of each pair match as many packets and
// name the same target.
func compare(t *testing.T, s set) {
	nft, iptables := count(t, s)
	for i, p := range s.pairs {
		if nft[i] != iptables[i] || nft[i] == 0 {
			t.Errorf("%d packets match %s\n%d packets match %s", nft[i], p.nft, iptables[i], p.iptables)
		}
		if a, b := nftTarget(p.nft), iptablesTarget(p.iptables); a != b {
			t.Errorf("%s is for %s\n%s is for %s", p.nft, a, p.iptables, b)
		}
	}
}

// count returns how many packets meet the matches of each rule, whatever its
// target: a rule that only counts stands in its place.
func count(t *testing.T, s set) (nft, iptables []int) {
	t.Helper()
	n := newRouter(t)
	script := strings.Join(s.bases, "\n") + "\n"
	for i, p := range s.pairs {
		script += fmt.Sprintf("%s counter comment \"pair-%d\"\n", onlyIPv4(nftMatch(p.nft)), i)
	}
	n.command(t, script, "nft", "-f", "-")
	for i, p := range s.pairs {
		n.command(t, "", strings.Fields(fmt.Sprintf("%s -m comment --comment pair-%d", iptablesMatch(p.iptables), i))...)
	}
	n.traffic(t)
	listing, save := n.command(t, "", "nft", "list", "ruleset"), n.command(t, "", "iptables-save", "-c")
	for i := range s.pairs {
		nft = append(nft, counter(t, listing, fmt.Sprintf(`counter packets (\d+) .*comment "pair-%d"`, i)))
		iptables = append(iptables, counter(t, save, fmt.Sprintf(`(?m)^\[(\d+):.*--comment "?pair-%d\b`, i)))
	}
	return nft, iptables
}

func counter(t *testing.T, text, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", pattern, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	nftStatement      = regexp.MustCompile(` (queue|log|accept|drop|reject|notrack|meta mark set|ct mark set)\b.*$`)
	iptablesStatement = regexp.MustCompile(` -j .*$`)
)

func nftMatch(rule string) string { return nftStatement.ReplaceAllString(rule, "") }

// onlyIPv4 makes a rule of the family inet meet what iptables does.
func onlyIPv4(rule string) string {
	return regexp.MustCompile(`^add rule inet \S+ \S+`).ReplaceAllString(rule, "${0} meta nfproto ipv4")
}

func iptablesMatch(rule string) string {
	return strings.Replace(iptablesStatement.ReplaceAllString(rule, ""), " -I ", " -A ", 1)
}

// nftTarget returns what a rule of nft does, in the words of both programs.
func nftTarget(rule string) string {
	target := strings.TrimSpace(nftStatement.FindString(rule))
	if n := regexp.MustCompile(`^queue (?:flags (\S+) )?(?:to|num) (\S+)$`).FindStringSubmatch(target); n != nil {
		return fmt.Sprintf("queue %s, bypass %t, fanout %t", n[2], strings.Contains(n[1], "bypass"), strings.Contains(n[1], "fanout"))
	}
	if n := regexp.MustCompile(`^log (?:prefix "([^"]*)" )?group (\d+)(?: prefix "([^"]*)")?`).FindStringSubmatch(target); n != nil {
		return fmt.Sprintf("group %s, prefix %q", n[2], n[1]+n[3])
	}
	first, _, _ := strings.Cut(target, " ")
	return first
}

// iptablesTarget is nftTarget for a rule of iptables.
func iptablesTarget(rule string) string {
	target := strings.TrimPrefix(iptablesStatement.FindString(rule), " -j ")
	if n := regexp.MustCompile(`^NFQUEUE --queue-(?:num|balance) (\S+)`).FindStringSubmatch(target); n != nil {
		return fmt.Sprintf("queue %s, bypass %t, fanout %t", strings.ReplaceAll(n[1], ":", "-"),
			strings.Contains(target, "--queue-bypass"), strings.Contains(target, "--queue-cpu-fanout"))
	}
	if n := regexp.MustCompile(`^NFLOG --nflog-group (\d+)(?: --nflog-prefix ['"]([^'"]*)['"])?`).FindStringSubmatch(target); n != nil {
		return fmt.Sprintf("group %s, prefix %q", n[1], n[2])
	}
	first, _, _ := strings.Cut(target, " ")
	return strings.ToLower(first)
}
