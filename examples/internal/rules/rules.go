// Package rules describes the rules that an example needs once, renders them for
// nft and for iptables, and installs them for as long as the program runs.
//
//	rule := rules.Queue(7).Bypass().At(rules.Output).Match("udp dport 53")
//
//	nft:      add rule inet nfpacket_dns output udp dport 53 queue flags bypass to 7
//	iptables: iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7 --queue-bypass
//
// A program calls [Parse] in place of flag.Parse, which gives it the flags -rules
// and -install, and [Program.Install] when its queue or group is open.
package rules

import (
	"fmt"
	"strings"
)

// A Hook is where in the kernel a rule sees packets, by nft's name.
type Hook string

// The hooks that nft and iptables share.
const (
	Prerouting  Hook = "prerouting"
	Input       Hook = "input"
	Forward     Hook = "forward"
	Output      Hook = "output"
	Postrouting Hook = "postrouting"
)

// A Priority is the place of a rule's chain among those of the hook, by the name
// that nft gives the number and iptables the table.
type Priority string

// The priorities, in the order in which packets meet them.
const (
	Mangle Priority = "mangle"
	Filter Priority = "filter"
)

// A Rule is one rule. Its methods return a changed copy, so that it can be
// described in one expression. It sees the packets that the program's own host
// sends, if At is not called.
type Rule struct {
	hook     Hook
	priority Priority
	match    []string // terms in nft's words

	action        action
	number, count uint16 // of the queue or group; how many queues
	bypass        bool
	fanout        bool
	prefix        string
}

// An action is what a rule does with the packets that match, by nft's name.
type action string

const (
	queues  action = "queue"
	logs    action = "log"
	accepts action = "accept"
	drops   action = "drop"
	rejects action = "reject"
)

func rule(a action, number uint16) Rule {
	return Rule{hook: Output, priority: Filter, action: a, number: number, count: 1}
}

// Queue hands packets to the queue of that number.
func Queue(number uint16) Rule { return rule(queues, number) }

// Log hands copies of packets to the log group of that number.
func Log(group uint16) Rule { return rule(logs, group) }

// Accept lets packets pass the chain, and the rules behind this one.
func Accept() Rule { return rule(accepts, 0) }

// Drop drops packets.
func Drop() Rule { return rule(drops, 0) }

// Reject drops packets and answers their sender with an error.
func Reject() Rule { return rule(rejects, 0) }

// At sets the hook.
func (r Rule) At(h Hook) Rule { r.hook = h; return r }

// In sets the priority, which is Filter otherwise.
func (r Rule) In(p Priority) Rule { r.priority = p; return r }

// Match adds terms that a packet must meet, in nft's words: those of the table in
// match.go, separated by blanks.
func (r Rule) Match(terms string) Rule {
	r.match = append(r.match[:len(r.match):len(r.match)], terms)
	return r
}

// Bypass lets packets through while no program has the queue open.
func (r Rule) Bypass() Rule { r.bypass = true; return r }

// Balance spreads packets over n queues, and keeps those of a connection in one.
func (r Rule) Balance(n int) Rule { r.count = uint16(n); return r }

// Fanout spreads packets over n queues by the processor that handles them.
func (r Rule) Fanout(n int) Rule { r.count, r.fanout = uint16(n), true; return r }

// Prefix gives logged packets a text.
func (r Rule) Prefix(text string) Rule { r.prefix = text; return r }

// chain is the name of the chain that the rule is in. All rules of a hook and a
// priority share one.
func (r Rule) chain() string {
	if r.priority == Filter {
		return string(r.hook)
	}
	return fmt.Sprintf("%s_%s", r.hook, r.priority)
}

// nft returns the rule as nft writes it, without its table and chain.
func (r Rule) nft() string {
	return strings.Join(append(r.match[:len(r.match):len(r.match)], r.nftAction()), " ")
}

func (r Rule) nftAction() string {
	switch r.action {
	case queues:
		var flags []string
		if r.bypass {
			flags = append(flags, "bypass")
		}
		if r.fanout {
			flags = append(flags, "fanout")
		}
		s := "queue "
		if len(flags) > 0 {
			s += "flags " + strings.Join(flags, ",") + " "
		}
		return s + "to " + r.numbers("-")
	case logs:
		if r.prefix != "" {
			return fmt.Sprintf("log prefix %q group %d", r.prefix, r.number)
		}
		return fmt.Sprintf("log group %d", r.number)
	}
	return string(r.action)
}

// numbers returns the number of the queue, or those of the first and the last.
func (r Rule) numbers(between string) string {
	if r.count == 1 {
		return fmt.Sprint(r.number)
	}
	return fmt.Sprintf("%d%s%d", r.number, between, r.number+r.count-1)
}

// iptables returns the rule's arguments for iptables, from -A on.
func (r Rule) iptables() (string, error) {
	words := []string{"-A", strings.ToUpper(string(r.hook))}
	for _, m := range r.match {
		args, err := iptablesMatch(m)
		if err != nil {
			return "", err
		}
		words = append(words, args...)
	}
	return strings.Join(append(onceEach(words), r.iptablesAction()), " "), nil
}

// onceEach names each protocol once, as iptables wants it.
func onceEach(args []string) []string {
	for i, arg := range args {
		words := strings.SplitN(arg, " ", 3)
		if words[0] != "-p" {
			continue
		}
		for j := i + 1; j < len(args); j++ {
			args[j] = strings.TrimPrefix(args[j], "-p "+words[1]+" ")
		}
	}
	return args
}
func (r Rule) iptablesAction() string {
	switch r.action {
	case queues:
		s := "-j NFQUEUE --queue-num " + r.numbers("")
		if r.count > 1 {
			s = "-j NFQUEUE --queue-balance " + r.numbers(":")
		}
		if r.bypass {
			s += " --queue-bypass"
		}
		if r.fanout {
			s += " --queue-cpu-fanout"
		}
		return s
	case logs:
		s := fmt.Sprintf("-j NFLOG --nflog-group %d", r.number)
		if r.prefix != "" {
			s += fmt.Sprintf(" --nflog-prefix %q", r.prefix)
		}
		return s
	}
	return "-j " + strings.ToUpper(string(r.action))
}
