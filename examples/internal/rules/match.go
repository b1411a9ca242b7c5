package rules

import (
	"fmt"
	"strings"
)

// matches has the terms that Match knows, and what iptables says for each. A term
// that ends in a star takes a word more, which goes where the star is.
var matches = []struct{ nft, iptables string }{
	{"tcp flags & (fin|syn|rst|ack) == syn", "-p tcp --syn"},
	{"tcp dport *", "-p tcp --dport *"},
	{"tcp sport *", "-p tcp --sport *"},
	{"udp dport *", "-p udp --dport *"},
	{"udp sport *", "-p udp --sport *"},
	{"iifname *", "-i *"},
	{"oifname *", "-o *"},
	{"meta mark != *", "-m mark ! --mark *"},
	{"meta mark *", "-m mark --mark *"},
	{"ct mark *", "-m connmark --mark *"},
	{"ct state *", "-m conntrack --ctstate *"},
	{"meta skuid *", "-m owner --uid-owner *"},
	{"meta l4proto *", "-p *"},
}

// iptablesMatch returns the arguments that match what terms match in nft.
func iptablesMatch(terms string) (args []string, err error) {
	for rest := terms; rest != ""; {
		arg, n := firstMatch(rest)
		if n == 0 {
			return nil, fmt.Errorf("rules: no iptables is known for %q", rest)
		}
		args = append(args, arg)
		rest = strings.TrimPrefix(rest[n:], " ")
	}
	return args, nil
}

// firstMatch translates the first term, and returns how many bytes that is; none
// if it is not known.
func firstMatch(terms string) (arg string, n int) {
	for _, m := range matches {
		words, takes := strings.CutSuffix(m.nft, "*")
		rest, ok := strings.CutPrefix(terms, words)
		if !ok {
			continue
		}
		word := ""
		if takes {
			word, _, _ = strings.Cut(rest, " ")
		}
		if strings.HasPrefix(words, "ct state") {
			word = strings.ToUpper(word)
		}
		return strings.Replace(m.iptables, "*", word, 1), len(words) + len(word)
	}
	return "", 0
}
