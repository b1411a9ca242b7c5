//go:build linux

package exampletest

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// Shown returns what the example's -rules prints.
func Shown(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(append([]string{"-rules"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("-rules: %v: %s", err, out)
	}
	return string(out)
}

var (
	chainLine = regexp.MustCompile(`(?m)^add chain inet \S+ (\S+) \{ type filter hook (\S+) priority (\S+); \}$`)
	ruleLine  = regexp.MustCompile(`(?m)^add rule inet \S+ (\S+) (.*)$`)
)

// Install installs the rules that -rules prints in the namespace. It understands
// nft's words itself: neither nft nor its queue statement in the kernel is needed.
func Install(t *testing.T, n *lab.Net, args ...string) (rules []*lab.Rule) {
	t.Helper()
	text := Shown(t, args...)
	chains := map[string]*lab.Chain{}
	for _, m := range chainLine.FindAllStringSubmatch(text, -1) {
		c, err := n.Chain(lab.Inet, hooks[m[2]], priorities[m[3]])
		testkit.Must(t, err)
		chains[m[1]] = c
	}
	for _, m := range ruleLine.FindAllStringSubmatch(text, -1) {
		terms, err := parse(m[2])
		testkit.Must(t, err)
		r, err := chains[m[1]].Add(terms...)
		testkit.Must(t, err)
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		t.Fatalf("-rules prints no rules: %s", text)
	}
	return rules
}

var hooks = map[string]lab.Hook{
	"prerouting": lab.Prerouting, "input": lab.Input, "forward": lab.Forward,
	"output": lab.Output, "postrouting": lab.Postrouting,
}

var priorities = map[string]int{"mangle": -150, "filter": 0}

// terms has the terms of nft that examples use, and what they are in a lab.
var terms = []struct {
	nft *regexp.Regexp
	lab func(n []uint64) []lab.Term
}{
	{term(`tcp flags & \(fin\|syn\|rst\|ack\) == syn`), func([]uint64) []lab.Term { return []lab.Term{lab.L4(6), lab.SYN()} }},
	{term(`tcp dport (\d+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.TCP(uint16(n[0]))} }},
	{term(`udp dport (\d+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.UDP(uint16(n[0]))} }},
	{term(`udp sport (\d+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.L4(17), lab.SrcPort(uint16(n[0]))} }},
	{term(`meta mark != (0x\w+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.NotMark(uint32(n[0]))} }},
	{term(`meta mark (0x\w+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.Mark(uint32(n[0]))} }},
	{term(`ct mark (0x\w+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.CTMark(uint32(n[0]))} }},
	{term(`queue to (\d+)`), func(n []uint64) []lab.Term { return queue(n) }},
	{term(`queue to (\d+)-(\d+)`), func(n []uint64) []lab.Term { return queue(n) }},
	{term(`queue flags bypass to (\d+)`), func(n []uint64) []lab.Term { return queue(n, lab.Bypass) }},
	{term(`queue flags bypass to (\d+)-(\d+)`), func(n []uint64) []lab.Term { return queue(n, lab.Bypass) }},
	{term(`queue flags bypass,fanout to (\d+)-(\d+)`), func(n []uint64) []lab.Term { return queue(n, lab.Bypass, lab.Fanout) }},
	{term(`log group (\d+)`), func(n []uint64) []lab.Term { return []lab.Term{lab.Log(uint16(n[0]), "", 0, 0)} }},
	{term(`meta l4proto udp`), func([]uint64) []lab.Term { return []lab.Term{lab.L4(17)} }},
	{term(`meta l4proto tcp`), func([]uint64) []lab.Term { return []lab.Term{lab.L4(6)} }},
	{term(`accept`), func([]uint64) []lab.Term { return []lab.Term{lab.Accept()} }},
	{term(`drop`), func([]uint64) []lab.Term { return []lab.Term{lab.Drop()} }},
	{term(`reject`), func([]uint64) []lab.Term { return []lab.Term{lab.Reject()} }},
}

func term(pattern string) *regexp.Regexp { return regexp.MustCompile(`^` + pattern + `(?: |$)`) }

func queue(n []uint64, flags ...lab.QueueFlag) []lab.Term {
	total := uint16(1)
	if len(n) == 2 {
		total = uint16(n[1]-n[0]) + 1
	}
	return []lab.Term{lab.Queues(uint16(n[0]), total, flags...)}
}

var logPrefix = regexp.MustCompile(`^log prefix "([^"]*)" group (\d+)$`)

// parse returns the terms of a rule.
func parse(rule string) (all []lab.Term, err error) {
next:
	for rule != "" {
		if m := logPrefix.FindStringSubmatch(rule); m != nil {
			group, err := strconv.ParseUint(m[2], 10, 16)
			return append(all, lab.Log(uint16(group), m[1], 0, 0)), err
		}
		for _, t := range terms {
			m := t.nft.FindStringSubmatch(rule)
			if m == nil {
				continue
			}
			var numbers []uint64
			for _, s := range m[1:] {
				v, err := strconv.ParseUint(s, 0, 32)
				if err != nil {
					return nil, err
				}
				numbers = append(numbers, v)
			}
			all = append(all, t.lab(numbers)...)
			rule = rule[len(m[0]):]
			continue next
		}
		return nil, fmt.Errorf("exampletest knows no term %q", rule)
	}
	return all, nil
}
