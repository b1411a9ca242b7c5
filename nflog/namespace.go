package nflog

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/format"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file sets the logger that the kernel uses without a rule.

// SetNamespaceLogger replaces the logger of a protocol family by NFLOG, for the whole
// network namespace. Rules do not need it, because they name their group. Group 0 then
// gets the packets that the kernel logs without a log rule: packets that connection
// tracking considers invalid (sysctl net.netfilter.nf_conntrack_log_invalid; families
// IPv4 and IPv6), for which Packet.Hook is always 0, and packets matched by TRACE of
// iptables-legacy. Packet.Prefix distinguishes them.
//
// The setting outlives the Reader. If the logger was the kernel's log (dmesg), these
// messages no longer appear there until it is set back; the sysctl
// net.netfilter.nf_log.<number of the family> also shows and sets the logger. It sends
// the command PF_BIND, which other libraries send whenever they open a group. It needs
// the privilege that Open needs, and group 0 in Config.Groups.
func (r *Reader) SetNamespaceLogger(f nfnl.Family) error {
	r = r.orClosed()
	if r.index[0] == nil {
		return r.wrap(errors.New("the kernel logs to group 0, which is not in Config.Groups: add it"))
	}
	return r.setLogger(f, commandBindFamily)
}

// ClearNamespaceLogger removes the logger of a protocol family in the whole network
// namespace, even if another program has set it. Messages that the kernel logs without
// a rule are lost from then on. It does not restore the previous logger; for that write
// its name to the sysctl net.netfilter.nf_log.<number of the family>. Rules are not
// affected. It sends the command PF_UNBIND.
func (r *Reader) ClearNamespaceLogger(f nfnl.Family) error {
	r = r.orClosed()
	return r.setLogger(f, commandUnbindFamily)
}

// setLogger sends a command that is about a family.
func (r *Reader) setLogger(f nfnl.Family, cmd byte) error {
	r.configuring.Lock()
	defer r.configuring.Unlock()
	if r.stopping.Load() {
		return r.wrap(net.ErrClosed)
	}
	m := command(0, cmd)
	m.Family = f
	err := r.conn.Request(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOENT): // nf_log_bind_pf
		err = fmt.Errorf("%w: NFLOG does not log that family on this kernel", err)
	default:
		err = diagnose.Refusal(r.conn, err, engine.SubsystemLog, 0)
	}
	return r.wrap(format.Wrap(fmt.Sprintf("set the logger of family %v: ", f), err))
}
