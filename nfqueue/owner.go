package nfqueue

import (
	"bytes"
	"fmt"
	"os"
)

// owner says in brackets who has a queue, as far as the kernel's list and /proc
// tell, and otherwise nothing.
func owner(all []KernelStats, queue uint16, program func(pid uint32) string) string {
	for _, s := range all {
		if s.Queue != queue {
			continue
		}
		if name := program(s.PortID); name != "" {
			return fmt.Sprintf(" (it has port ID %d, probably process %d, %s)", s.PortID, s.PortID, name)
		}
		return fmt.Sprintf(" (it has port ID %d)", s.PortID)
	}
	return ""
}

// program returns the name of a process, if there is one. The first netlink
// socket of a process has the process ID for its port ID.
func program(pid uint32) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(bytes.TrimSpace(name))
}
