package nfqueue

import (
	"bytes"
	"fmt"
	"io"

	"github.com/nfpacket/nfpacket/internal/kernellist"
)

// KernelStats is the state that the kernel keeps for one queue, a line of
// /proc/net/netfilter/nfnetlink_queue.
type KernelStats struct {
	Queue     uint16
	PortID    uint32 // netlink address of the socket that has the queue; often the process ID of its program
	Waiting   uint32 // packets without a verdict
	CopyMode  uint8  // 0: none, packets are dropped; 1: Config.MetadataOnly; 2: packet bytes up to CopyRange
	CopyRange uint32 // maximum number of bytes of a packet that are delivered

	// Full and Lost are the numbers of packets dropped since the queue was bound,
	// because the queue was full or because the receive buffer was. With
	// Config.FailOpen the kernel counts neither.
	Full, Lost uint32

	LastID uint32 // ID of the packet that was queued last
}

// kernelQueues is the file that KernelStats come from, below /proc/net.
const kernelQueues = "netfilter/nfnetlink_queue"

// KernelStats returns the state and the counters that the kernel keeps for the queue,
// read from /proc/net/netfilter/nfnetlink_queue. The file is opened by Open, so that
// reading it later needs no privilege. Opening it is permitted to its owner, usually
// root, and with CAP_DAC_READ_SEARCH; CAP_NET_ADMIN is not sufficient. If it could not
// be opened, the error names what is missing and matches os.ErrPermission, Stats.Full
// is 0, and packets dropped because the queue is full are not reported.
func (q *Queue) KernelStats() (KernelStats, error) {
	q = q.orClosed()
	all, err := kernellist.Read(q.list, parseKernelStats)
	if err != nil {
		return KernelStats{}, q.wrap(err)
	}
	for _, s := range all {
		if s.Queue == q.number {
			return s, nil
		}
	}
	return KernelStats{}, q.wrap(fmt.Errorf("the kernel lists no such queue in /proc/net/%s", kernelQueues))
}

// KernelStats returns the state that the kernel keeps for each queue, in the order of
// OpenQueues; see Queue.KernelStats. It returns the first error.
func (qs *Queues) KernelStats() ([]KernelStats, error) {
	if qs.Len() == 0 {
		return nil, errNoQueues
	}
	stats := make([]KernelStats, qs.Len())
	for i, q := range qs.queues {
		var err error
		if stats[i], err = q.KernelStats(); err != nil {
			return nil, err
		}
	}
	return stats, nil
}

// ReadKernelStats parses the format of /proc/net/netfilter/nfnetlink_queue, which has a
// line for each queue of a network namespace. It returns the first error of r, or an
// error that quotes a line that cannot be parsed.
func ReadKernelStats(r io.Reader) ([]KernelStats, error) {
	return kernellist.ReadFrom(r, parseKernelStats)
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
