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

// This file sets what the kernel itself logs with.

// SetNamespaceLogger makes NFLOG the logger of a protocol family for the whole
// network namespace, in place of the one that it has. Rules do not need that:
// they name their group. It is for what the kernel logs of its own accord, which
// comes to group 0: packets that make no sense to connection tracking (sysctl
// net.netfilter.nf_conntrack_log_invalid), in families IPv4 and IPv6, and those
// that the TRACE target of iptables-legacy follows. Packet.Prefix says what it
// is; the former have Packet.Hook 0 wherever they were caught.
//
// The setting outlives the Reader. Where it was the kernel's log (dmesg), nothing
// appears there any more until it is set back; the sysctl
// net.netfilter.nf_log.<number of the family> shows and sets it too. Other
// libraries do the same on opening a group, as PF_BIND. It needs the privilege
// that Open does, and group 0 among Config.Groups.
func (r *Reader) SetNamespaceLogger(f nfnl.Family) error {
	r = r.orClosed()
	if r.index[0] == nil {
		return r.wrap(errors.New("what the kernel logs comes to group 0, which Config.Groups does not have"))
	}
	return r.setLogger(f, commandBindFamily)
}

// ClearNamespaceLogger leaves a protocol family without a logger, for everybody
// in the network namespace and whoever set it: what the kernel would log of its
// own accord is lost from then on. It does not restore the previous logger,
// which a write to the sysctl net.netfilter.nf_log.<number of the family> does.
// Rules log as ever. Other libraries call it PF_UNBIND.
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
