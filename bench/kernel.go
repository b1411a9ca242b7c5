package main

import (
	"fmt"
	"os"
	"strings"
)

// What the kernel says of a queue, struct nfqnl_instance.
type queueState struct {
	waiting     int
	queueDrops  int // found the queue full
	socketDrops int // found the socket full
}

// kernelQueue reads the state of a queue of the process's namespace.
func kernelQueue(number int) (queueState, error) {
	b, err := os.ReadFile("/proc/self/net/netfilter/nfnetlink_queue")
	if err != nil {
		return queueState{}, err
	}
	for line := range strings.Lines(string(b)) {
		var s queueState
		var n, port, mode, length int
		_, err := fmt.Sscan(line, &n, &port, &s.waiting, &mode, &length, &s.queueDrops, &s.socketDrops)
		if err == nil && n == number {
			return s, nil
		}
	}
	return queueState{}, fmt.Errorf("queue %d is not open", number)
}

// kernelLog returns how many packets wait in the kernel's buffer of group 0.
func kernelLog() (waiting int, err error) {
	b, err := os.ReadFile("/proc/self/net/netfilter/nfnetlink_log")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var group, port int
		if _, err := fmt.Sscan(line, &group, &port, &waiting); err == nil && group == 0 {
			return waiting, nil
		}
	}
	return 0, fmt.Errorf("log group 0 is not open")
}
