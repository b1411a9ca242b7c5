package nflog

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/nfpacket/nfpacket/internal/kernellist"
)

// KernelStats is the state that the kernel keeps for one log group, a line of
// /proc/net/netfilter/nfnetlink_log. The kernel does not count lost packets; see
// Stats.Lost.
type KernelStats struct {
	Group     uint16
	PortID    uint32        // netlink address of the socket that has the group; often the process ID of its program
	Collected uint32        // packets that wait in the kernel for others; see Config.Threshold
	CopyMode  uint8         // 0 and 1: no packet bytes (Config.MetadataOnly); 2: packet bytes up to CopyRange
	CopyRange uint32        // maximum number of bytes of a packet that are delivered
	Timeout   time.Duration // how long a packet may wait for others (Config.FlushTimeout)
}

// kernelGroups is the file that KernelStats come from, below /proc/net.
const kernelGroups = "netfilter/nfnetlink_log"

// KernelStats returns the state that the kernel keeps for the groups, in the order of
// the list in /proc/net/netfilter/nfnetlink_log. The file is opened with the Reader, so
// that reading it later needs no privilege. Opening it is permitted to its owner,
// usually root, and with CAP_DAC_READ_SEARCH. If it could not be opened, the error
// names what is missing and matches os.ErrPermission; all other methods work.
func (r *Reader) KernelStats() ([]KernelStats, error) {
	r = r.orClosed()
	all, err := kernellist.Read(r.list, parseKernelStats)
	if err != nil {
		return nil, r.wrap(err)
	}
	var own []KernelStats
	for _, s := range all {
		if r.index[s.Group] != nil && s.PortID == r.conn.PortID() {
			own = append(own, s)
		}
	}
	return own, nil
}

// ReadKernelStats parses the format of /proc/net/netfilter/nfnetlink_log, which has a
// line for each group of a network namespace. It returns the first error of r, or an
// error that quotes a line that cannot be parsed.
func ReadKernelStats(r io.Reader) ([]KernelStats, error) {
	return kernellist.ReadFrom(r, parseKernelStats)
}

// parseKernelStats parses one line (seq_show in nfnetlink_log.c):
//
//	group port-ID collected mode range timeout users
//
// The timeout is in 1/100 s.
func parseKernelStats(line []byte) (s KernelStats, err error) {
	var timeout, users uint32
	_, err = fmt.Fscanf(bytes.NewReader(line), "%d %d %d %d %d %d %d", &s.Group, &s.PortID, &s.Collected, &s.CopyMode, &s.CopyRange,
		&timeout, &users)
	if err != nil {
		return s, fmt.Errorf("nflog: line %q of the kernel's list of groups: %w", line, err)
	}
	s.Timeout = time.Duration(timeout) * timeoutUnit
	return s, nil
}
