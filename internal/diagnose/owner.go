package diagnose

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// ErrTaken says that another socket has a queue or group: it is what nfqueue and
// nflog call ErrTaken. Its text names the program, which is looked for among all
// processes when the text is asked for, and not before.
var ErrTaken = errors.New("in use by another socket")

// A takenError says that another socket has a queue or group. Only its text needs
// the program's name, for which the descriptors of all processes are looked at: a
// stand-by that tries to open the queue again and again does not pay for that.
type takenError struct {
	owner owner
	once  sync.Once
	text  string
}

// Unwrap returns ErrTaken.
func (e *takenError) Unwrap() error { return ErrTaken }

// Error names the program, and says what to do.
func (e *takenError) Error() string {
	e.once.Do(func() { e.text = e.owner.explain() })
	return e.text
}

// An owner is the socket that has a queue or group, as far as /proc tells.
type owner struct {
	portID string // its netlink address
	inode  string
}

// ownerOf returns who has a queue or group. list is the kernel's list of queues or
// groups, whose lines start with a number and a port ID.
func ownerOf(c *engine.Conn, list string, number uint16) (o owner) {
	o.portID, _ = lookUp(c, list, 1, []string{strconv.Itoa(int(number))})
	if o.portID != "" {
		o.inode, _ = lookUp(c, "netlink", engine.NetlinkInode, []string{1: netfilterProtocol, 2: o.portID})
	}
	return o
}

// explain says who it is and what to do about that.
func (o owner) explain() string {
	who := ""
	program, here := o.program()
	switch {
	case program != "":
		who = " (port ID " + o.portID + ", " + program + ")"
	case o.portID != "":
		who = " (port ID " + o.portID + ")"
	}
	todo := "stop that program"
	if here {
		todo = "this program has it open already: close that"
	}
	return ErrTaken.Error() + who + ": " + todo + ", or use another number here and in the rule"
}

// program names the program that has the socket, and reports whether it is this
// one.
func (o owner) program() (name string, here bool) {
	if o.inode != "" {
		self, _ := os.Readlink("/proc/self")
		for _, process := range []string{self, "[0-9]*"} { // others may have copies of ours
			links, _ := filepath.Glob("/proc/" + process + "/fd/*")
			for _, link := range links {
				if to, _ := os.Readlink(link); to == "socket:["+o.inode+"]" {
					process := strings.Split(link, "/")[2]
					return fmt.Sprintf("program %q, process %s", command(process), process), process == self
				}
			}
		}
	}
	// Other users' descriptors cannot be seen; but the first netlink socket of a
	// process has the process ID for its port ID.
	if name := command(o.portID); o.portID != "" && name != "" {
		return fmt.Sprintf("probably program %q, process %s", name, o.portID), false
	}
	return "", false
}

// command returns the name of a process, "" if there is none.
func command(process string) string {
	name, _ := os.ReadFile("/proc/" + process + "/comm")
	return strings.TrimSpace(string(name))
}

// netfilterProtocol is NETLINK_NETFILTER, as /proc/net/netlink has it.
const netfilterProtocol = "12"

// lookUp returns a field of the first line, in a file below /proc/net, that has
// the fields in want; empty ones may be anything.
func lookUp(c *engine.Conn, name string, field int, want []string) (string, bool) {
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
