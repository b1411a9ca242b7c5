package rules

import (
	"flag"
	"fmt"
	"log"
	"os"
)

// A Program is one that was started with the flags of this package.
type Program struct {
	// NetNS, if it is set, is the file of the network namespace that the rules
	// belong in, as for nsenter --net.
	NetNS string

	set     Set
	install bool
}

// Parse adds -rules and -install to the flags of the program of that name and
// parses the command line. With -rules it prints the rules and exits.
func Parse(name string, rules ...Rule) *Program {
	p := &Program{set: Set{Table: "nfpacket_" + name, Rules: rules}}
	show := flag.Bool("rules", false, "print the rules for nft and iptables, and exit")
	flag.BoolVar(&p.install, "install", false, "install the rules with nft for as long as the program runs")
	flag.Parse()
	if *show {
		fmt.Print(p.set)
		os.Exit(0)
	}
	return p
}

// Install installs the rules if -install was given. Call it when the queue or the
// group is open: packets that come before would be dropped.
func (p *Program) Install() error {
	if !p.install {
		log.Print("ready; -rules prints the rules, -install installs them")
		return nil
	}
	if err := install(p.set, p.NetNS); err != nil {
		return err
	}
	log.Printf("ready; table inet %s goes when this program ends. %s", p.set.Table, deleting)
	return nil
}
