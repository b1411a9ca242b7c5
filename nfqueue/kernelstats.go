package nfqueue

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"

	"github.com/nfpacket/nfpacket/nfnl"
)

// KernelStats is what the kernel knows of one queue: a line of
// /proc/net/netfilter/nfnetlink_queue.
type KernelStats struct {
	Queue     uint16
	PortID    uint32 // netlink address of the socket that has the queue, often a process ID
	Waiting   uint32 // packets without a verdict
	CopyMode  uint8  // 0 drops everything, 1 is Config.MetadataOnly, 2 the usual
	CopyRange uint32 // bytes

	// Packets dropped since the queue was bound: Full for want of room in the
	// queue, Lost for want of room on the socket. With Config.FailOpen neither counts.
	Full, Lost uint32

	LastID uint32 // of the last packet
}

// procQueues is the file that KernelStats come from, below /proc/net.
const procQueues = "netfilter/nfnetlink_queue"

// proc is the kernel's list of the queues in the socket's network namespace,
// opened with the queue: later the program may have lost the right to.
type proc struct {
	file *os.File
	err  error // why there is no file
}

// openProc opens the list. Nothing but KernelStats depends on it.
func openProc(conn *nfnl.Conn) (p proc) {
	p.file, p.err = conn.OpenProc(procQueues)
	return p
}

// read reads the list.
func (p proc) read() ([]KernelStats, error) {
	if p.err != nil {
		return nil, p.err
	}
	if p.file == nil {
		return nil, net.ErrClosed
	}
	all, err := ReadKernelStats(io.NewSectionReader(p.file, 0, math.MaxInt64))
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return all, err
}

// close closes the list.
func (p proc) close() {
	if p.err == nil {
		p.file.Close()
	}
}

// KernelStats returns what the kernel knows of the queue. The error matches
// os.ErrPermission where the list cannot be read, as in user namespaces;
// everything else works without it.
func (q *Queue) KernelStats() (KernelStats, error) {
	q = q.orClosed()
	all, err := q.proc.read()
	if err != nil {
		return KernelStats{}, q.wrap(err)
	}
	for _, s := range all {
		if s.Queue == q.number {
			return s, nil
		}
	}
	return KernelStats{}, q.wrap(fmt.Errorf("the kernel lists no such queue in /proc/net/%s", procQueues))
}

// ReadKernelStats reads a file like /proc/net/netfilter/nfnetlink_queue, a line
// for each queue of a network namespace.
func ReadKernelStats(r io.Reader) ([]KernelStats, error) {
	var all []KernelStats
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return all, lines.Err()
		}
		s, err := parseKernelStats(lines.Bytes())
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
}

// parseKernelStats parses one line (seq_show in nfnetlink_queue.c):
//
//	queue port-ID waiting mode range full lost last-ID 1
func parseKernelStats(line []byte) (s KernelStats, err error) {
	var one int
	_, err = fmt.Fscanf(bytes.NewReader(line), "%d %d %d %d %d %d %d %d %d", &s.Queue, &s.PortID, &s.Waiting, &s.CopyMode, &s.CopyRange,
		&s.Full, &s.Lost, &s.LastID, &one)
	if err != nil {
		return s, fmt.Errorf("nfqueue: line %q of the kernel's list of queues: %w", line, err)
	}
	return s, nil
}
