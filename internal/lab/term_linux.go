package lab

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Term is a term of a rule: a match or an action.
type Term struct {
	exprs  []expr.Any
	action bool
}

// expressions strings terms together, with a counter behind the matches.
func expressions(terms []Term) []expr.Any {
	var exprs []expr.Any
	counted := false
	for _, t := range terms {
		if t.action && !counted {
			exprs = append(exprs, &expr.Counter{})
			counted = true
		}
		exprs = append(exprs, t.exprs...)
	}
	if !counted {
		exprs = append(exprs, &expr.Counter{})
	}
	return exprs
}

// register is the nft register that all terms use.
const register = unix.NFT_REG_1

// equal matches when what load puts into the register is value.
func equal(load expr.Any, value []byte) Term {
	return Term{exprs: []expr.Any{load, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}}}
}

func meta(key expr.MetaKey, value []byte) Term {
	return equal(&expr.Meta{Key: key, Register: register}, value)
}

// L4 matches packets of a transport protocol, such as [unix.IPPROTO_ICMP], in IP
// of either version.
func L4(protocol byte) Term { return meta(expr.MetaKeyL4PROTO, []byte{protocol}) }

// UDP matches UDP packets to a port.
func UDP(port uint16) Term { return both(L4(unix.IPPROTO_UDP), DstPort(port)) }

// TCP matches TCP segments to a port.
func TCP(port uint16) Term { return both(L4(unix.IPPROTO_TCP), DstPort(port)) }

func both(a, b Term) Term { return Term{exprs: append(a.exprs, b.exprs...)} }

// SYN matches the first segment of a TCP connection: of the flags fin, syn, rst
// and ack it has syn alone, as with iptables' --syn. Put [TCP] or [L4] before it.
func SYN() Term {
	const finSynRstAck, syn = 0x17, 0x02
	return Term{exprs: []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{finSynRstAck}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{syn}},
	}}
}

// SrcPort matches packets from a port. Put [L4] before it.
func SrcPort(port uint16) Term { return transport(0, port) }

// DstPort matches packets to a port. Put [L4] before it.
func DstPort(port uint16) Term { return transport(2, port) }

func transport(offset uint32, value uint16) Term {
	return equal(&expr.Payload{
		DestRegister: register,
		Base:         expr.PayloadBaseTransportHeader,
		Offset:       offset,
		Len:          2,
	}, binary.BigEndian.AppendUint16(nil, value))
}

// Mark matches packets that carry the mark.
func Mark(mark uint32) Term {
	return meta(expr.MetaKeyMARK, binary.NativeEndian.AppendUint32(nil, mark))
}

// NotMark matches packets that do not carry the mark.
func NotMark(mark uint32) Term {
	return Term{exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, mark)},
	}}
}

// In matches packets that came in by the device of that name.
func In(device string) Term { return meta(expr.MetaKeyIIFNAME, deviceName(device)) }

// Out matches packets that are to leave by the device of that name.
func Out(device string) Term { return meta(expr.MetaKeyOIFNAME, deviceName(device)) }

func deviceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// A QueueFlag changes what [Queue] and [Queues] do.
type QueueFlag uint16

// The flags of a queue rule.
const (
	Bypass QueueFlag = unix.NFT_QUEUE_FLAG_BYPASS     // accept packets while nobody listens
	Fanout QueueFlag = unix.NFT_QUEUE_FLAG_CPU_FANOUT // choose the queue by the CPU
)

// Queue sends packets to a queue. While nobody listens to it they are dropped,
// unless the flag [Bypass] is given.
func Queue(num uint16, flags ...QueueFlag) Term { return Queues(num, 1, flags...) }

// Queues spreads packets over total queues from first on: by the hash of their
// addresses, or with [Fanout] by the CPU that handles them.
func Queues(first, total uint16, flags ...QueueFlag) Term {
	q := &expr.Queue{Num: first, Total: total}
	for _, f := range flags {
		q.Flag |= expr.QueueFlag(f)
	}
	return action(q)
}

// Log sends a copy of packets to an NFLOG group, with a prefix unless that is
// empty, and goes on to the next term. A snaplen above 0 limits the copy, in
// bytes; a threshold above 0 is the number of packets that the kernel collects
// before it delivers them.
func Log(group uint16, prefix string, snaplen uint32, threshold uint16) Term {
	l := &expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: group, Snaplen: snaplen, QThreshold: threshold}
	if prefix != "" {
		l.Key |= 1 << unix.NFTA_LOG_PREFIX
		l.Data = []byte(prefix)
	}
	if snaplen > 0 {
		l.Key |= 1 << unix.NFTA_LOG_SNAPLEN
	}
	if threshold > 0 {
		l.Key |= 1 << unix.NFTA_LOG_QTHRESHOLD
	}
	return action(l)
}

// SetMark gives packets a mark and goes on to the next term.
func SetMark(mark uint32) Term {
	return action(
		&expr.Immediate{Register: register, Data: binary.NativeEndian.AppendUint32(nil, mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register},
	)
}

// Accept ends the way of packets through this chain.
func Accept() Term { return action(&expr.Verdict{Kind: expr.VerdictAccept}) }

// Drop drops packets.
func Drop() Term { return action(&expr.Verdict{Kind: expr.VerdictDrop}) }

// Reject drops packets and answers their sender with ICMP's "port unreachable".
func Reject() Term {
	return action(&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
}

func action(exprs ...expr.Any) Term { return Term{exprs: exprs, action: true} }

// FlowOffload takes the packet's connection from its usual way, through a table of
// [Net.Flowtable].
func FlowOffload(table string) Term { return action(&expr.FlowOffload{Name: table}) }
