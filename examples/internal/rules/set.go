package rules

import (
	"fmt"
	"slices"
	"strings"
)

// A Set is the rules of a program, in the order in which packets meet them.
type Set struct {
	Table string // of nft; no word that nft knows
	Rules []Rule
}

// NFT returns the commands that make the rules, for nft -f. With owned the table
// belongs to the nft process that makes it and vanishes with it, which takes Linux
// 5.12 and nft 1.0.
func (s Set) NFT(owned bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "add table inet %s", s.Table)
	if owned {
		b.WriteString(" { flags owner; }")
	}
	b.WriteByte('\n')
	for i, r := range s.Rules {
		if !slices.ContainsFunc(s.Rules[:i], func(o Rule) bool { return o.chain() == r.chain() }) {
			fmt.Fprintf(&b, "add chain inet %s %s { type filter hook %s priority %s; }\n", s.Table, r.chain(), r.hook, r.priority)
		}
		fmt.Fprintf(&b, "add rule inet %s %s %s\n", s.Table, r.chain(), r.nft())
	}
	return b.String()
}

// IPTables returns commands for a shell that make the rules, for IPv4. Those for
// IPv6 are the same with ip6tables.
func (s Set) IPTables() (string, error) {
	var b strings.Builder
	for _, r := range s.Rules {
		args, err := r.iptables()
		if err != nil {
			return "", err
		}
		table := ""
		if r.priority != Filter {
			table = "-t " + string(r.priority) + " "
		}
		fmt.Fprintf(&b, "iptables %s%s\n", table, args)
	}
	return b.String(), nil
}

// restore returns the same for iptables-restore.
func (s Set) restore() (string, error) {
	var b strings.Builder
	for _, p := range []Priority{Mangle, Filter} {
		fmt.Fprintf(&b, "*%s\n", p)
		for _, r := range s.Rules {
			args, err := r.iptables()
			if err != nil {
				return "", err
			}
			if r.priority == p {
				fmt.Fprintln(&b, args)
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String(), nil
}

// deleting says what happens when a table with base chains goes.
const deleting = "When the table goes, the kernel drops every packet that is queued in this network namespace, for whichever queue."

// String returns what -rules prints.
func (s Set) String() string {
	iptables, err := s.IPTables()
	if err != nil {
		iptables = "# " + err.Error() + "\n"
	}
	return fmt.Sprintf("# nft -f FILE, of:\n%s\n# To take them away: nft flush table inet %s\n# and later: nft delete table inet %s\n# %s\n\n"+
		"# Or in a shell, and for IPv6 again with ip6tables:\n%s", s.NFT(false), s.Table, s.Table, deleting, iptables)
}
