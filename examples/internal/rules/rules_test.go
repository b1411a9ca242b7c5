package rules

import (
	"strings"
	"testing"
)

// all has every rule that can be described, so that whatever examples use has
// been through here.
var all = Set{"nfpacket_all", []Rule{
	Accept().Match("ct mark 0x1"),
	Queue(7),
	Queue(7).Bypass().Match("udp dport 53"),
	Queue(7).Fanout(4).Bypass().At(Forward).Match("udp dport 53"),
	Queue(8).Balance(2).At(Input).Match("tcp sport 80"),
	Queue(9).At(Prerouting).In(Mangle).Match("meta mark != 0x10 tcp dport 443"),
	Log(5).Prefix("x ").Match("tcp flags & (fin|syn|rst|ack) == syn"),
	Log(6).At(Postrouting).In(Mangle).Match("oifname lo udp sport 5"),
	Reject().Match("meta mark 0x1"),
	Drop().At(Input).Match("iifname lo ct state new,established meta l4proto icmp"),
	Drop().Match("meta skuid 1000"),
	Drop().Match("tcp dport 443 tcp flags & (fin|syn|rst|ack) == syn"),
}}

func TestRulesAreRenderedForNftAndIptables(t *testing.T) {
	nft, iptables := all.NFT(true), mustRender(t, all)
	for _, want := range []string{
		"add table inet nfpacket_all { flags owner; }",
		"add chain inet nfpacket_all prerouting_mangle { type filter hook prerouting priority mangle; }",
		"add rule inet nfpacket_all output queue to 7",
		"add rule inet nfpacket_all forward udp dport 53 queue flags bypass,fanout to 7-10",
		"add rule inet nfpacket_all input tcp sport 80 queue to 8-9",
		`add rule inet nfpacket_all output tcp flags & (fin|syn|rst|ack) == syn log prefix "x " group 5`,
	} {
		if !strings.Contains(nft, want+"\n") {
			t.Errorf("nft lacks %q:\n%s", want, nft)
		}
	}
	for _, want := range []string{
		"iptables -A OUTPUT -m connmark --mark 0x1 -j ACCEPT",
		"iptables -A FORWARD -p udp --dport 53 -j NFQUEUE --queue-balance 7:10 --queue-bypass --queue-cpu-fanout",
		"iptables -t mangle -A PREROUTING -m mark ! --mark 0x10 -p tcp --dport 443 -j NFQUEUE --queue-num 9",
		`iptables -A OUTPUT -p tcp --syn -j NFLOG --nflog-group 5 --nflog-prefix "x "`,
		"iptables -A OUTPUT -p tcp --dport 443 --syn -j DROP",
		"iptables -A INPUT -i lo -m conntrack --ctstate NEW,ESTABLISHED -p icmp -j DROP",
	} {
		if !strings.Contains(iptables, want+"\n") {
			t.Errorf("iptables lacks %q:\n%s", want, iptables)
		}
	}
	if n := strings.Count(nft, "add chain inet nfpacket_all output "); n != 1 {
		t.Errorf("the chain of the output hook is made %d times", n)
	}
}

func mustRender(t *testing.T, s Set) string {
	t.Helper()
	text, err := s.IPTables()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUnknownMatchIsRefused(t *testing.T) {
	s := Set{"x", []Rule{Queue(1).Match("udp dport 53 frobnicate 7")}}
	if text, err := s.IPTables(); err == nil || !strings.Contains(err.Error(), "frobnicate") {
		t.Errorf("rendered %q, error %v", text, err)
	}
	if shown := s.String(); !strings.Contains(shown, "frobnicate") {
		t.Errorf("-rules does not say what iptables lacks:\n%s", shown)
	}
}

// A rule is a value: what is made of it leaves it alone.
func TestRulesShareNothing(t *testing.T) {
	base := Queue(7).Match("udp dport 53")
	a, b := base.Match("meta mark 0x1"), base.Match("meta mark 0x2")
	if got := a.nft() + "; " + b.nft() + "; " + base.nft(); got !=
		"udp dport 53 meta mark 0x1 queue to 7; udp dport 53 meta mark 0x2 queue to 7; udp dport 53 queue to 7" {
		t.Error(got)
	}
}

func TestShownRulesWarnOfDeletingTheTable(t *testing.T) {
	if text := all.String(); !strings.Contains(text, "drops every packet that is queued") {
		t.Error(text)
	}
}
