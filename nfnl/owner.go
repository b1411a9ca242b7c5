package nfnl

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner says who has a queue or group, as far as /proc tells: it names the port
// ID and the program, and reports whether that is this one. list is the kernel's
// list of queues or groups, whose lines start with a number and a port ID.
func (c *Conn) owner(list string, number uint16) (who string, here bool) {
	portID, ok := c.lookUp(list, 1, []string{strconv.Itoa(int(number))})
	if !ok {
		return "", false
	}
	who = "port ID " + portID
	program, here := c.program(portID)
	if program != "" {
		who += ", " + program
	}
	return who, here
}

// program names the program with a netfilter socket, and reports whether it is
// this one.
func (c *Conn) program(portID string) (name string, here bool) {
	if inode, ok := c.lookUp("netlink", netlinkInode, []string{1: netfilterProtocol, 2: portID}); ok {
		self, _ := os.Readlink("/proc/self")
		for _, process := range []string{self, "[0-9]*"} { // others may have copies of ours
			links, _ := filepath.Glob("/proc/" + process + "/fd/*")
			for _, link := range links {
				if to, _ := os.Readlink(link); to == "socket:["+inode+"]" {
					process := strings.Split(link, "/")[2]
					return fmt.Sprintf("program %q, process %s", command(process), process), process == self
				}
			}
		}
	}
	// Other users' descriptors cannot be seen; but the first netlink socket of a
	// process has the process ID for its port ID.
	if name := command(portID); name != "" {
		return fmt.Sprintf("probably program %q, process %s", name, portID), false
	}
	return "", false
}

// command returns the name of a process, "" if there is none.
func command(process string) string {
	name, _ := os.ReadFile("/proc/" + process + "/comm")
	return strings.TrimSpace(string(name))
}

// In /proc/net/netlink (netlink_native_seq_show): sk Eth Pid Groups Rmem Wmem
// Dump Locks Drops Inode.
const (
	netlinkInode      = 9    // the field
	netfilterProtocol = "12" // NETLINK_NETFILTER
)

// lookUp returns a field of the first line, in a file below /proc/net, that has
// the fields in want; empty ones may be anything.
func (c *Conn) lookUp(name string, field int, want []string) (string, bool) {
	f, err := c.OpenProc(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > max(field, len(want)-1) && matches(fields, want) {
			return fields[field], true
		}
	}
	return "", false
}

// matches reports whether fields start with those in want, but for empty ones.
func matches(fields, want []string) bool {
	for i, w := range want {
		if w != "" && fields[i] != w {
			return false
		}
	}
	return true
}
