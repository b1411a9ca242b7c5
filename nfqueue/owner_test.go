package nfqueue

import (
	"os"
	"testing"
)

func TestOwnerOfAQueue(t *testing.T) {
	all := []KernelStats{{Queue: 6, PortID: 60}, {Queue: 7, PortID: 70}, {Queue: 8, PortID: 4000000000}}
	names := func(pid uint32) string { return map[uint32]string{70: "suricata"}[pid] }
	for queue, want := range map[uint16]string{
		6: " (it has port ID 60)",
		7: " (it has port ID 70, probably process 70, suricata)",
		8: " (it has port ID 4000000000)",
		9: "",
	} {
		if got := owner(all, queue, names); got != want {
			t.Errorf("queue %d: got %q, want %q", queue, got, want)
		}
	}
}

func TestProgramOfAProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/comm"); err != nil {
		t.Skip("there is no /proc here")
	}
	if got := program(uint32(os.Getpid())); got == "" {
		t.Error("this process has no name")
	}
	if got := program(4000000000); got != "" {
		t.Errorf("a process that there cannot be is %q", got)
	}
}
