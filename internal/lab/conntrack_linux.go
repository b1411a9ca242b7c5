package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// This file has the terms about connections. The kernel tracks connections in a
// namespace once a chain of it has such a term; a chain sees packets with their
// connection from priority -199 on.

// A State is a set of what [Tracked] matches.
type State uint32

// The states of a packet in its connection.
const (
	Invalid     = State(expr.CtStateBitINVALID)
	Established = State(expr.CtStateBitESTABLISHED)
	Related     = State(expr.CtStateBitRELATED)
	New         = State(expr.CtStateBitNEW)
	Untracked   = State(expr.CtStateBitUNTRACKED)
)

// Tracked matches packets that are in one of the states.
func Tracked(s State) Term {
	return anyBit(expr.CtKeySTATE, binary.NativeEndian.AppendUint32(nil, uint32(s)))
}

// CTMark matches packets whose connection carries the mark.
func CTMark(mark uint32) Term {
	return equal(&expr.Ct{Key: expr.CtKeyMARK, Register: register}, binary.NativeEndian.AppendUint32(nil, mark))
}

// CTLabel matches packets whose connection has any of the labels, a bitmap of
// the kernel's unsigned longs.
func CTLabel(labels [16]byte) Term { return anyBit(expr.CtKeyLABELS, labels[:]) }

// anyBit matches when what key stands for has any of the bits.
func anyBit(key expr.CtKey, bits []byte) Term {
	zero := make([]byte, len(bits))
	return Term{exprs: []expr.Any{
		&expr.Ct{Key: key, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(bits)), Mask: bits, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: zero},
	}}
}

// SetCTMark gives the packet's connection a mark and goes on to the next term.
func SetCTMark(mark uint32) Term {
	return setCT(expr.CtKeyMARK, binary.NativeEndian.AppendUint32(nil, mark))
}

// SetCTLabels gives the packet's connection those labels and no others, and goes
// on to the next term.
func SetCTLabels(labels [16]byte) Term { return setCT(expr.CtKeyLABELS, labels[:]) }

// SetZone puts packets into a zone of connections and goes on to the next term.
// It works before connection tracking only, at a priority below -200.
func SetZone(zone uint16) Term {
	return setCT(expr.CtKeyZONE, binary.NativeEndian.AppendUint16(nil, zone))
}

func setCT(key expr.CtKey, value []byte) Term {
	return action(
		&expr.Immediate{Register: register, Data: value},
		&expr.Ct{Key: key, SourceRegister: true, Register: register},
	)
}

// NoTrack keeps packets from connection tracking and goes on to the next term.
// It works before connection tracking only, at a priority below -200.
func NoTrack() Term { return action(&expr.Notrack{}) }

// NAT attaches a new chain for [DNAT] and [Masquerade] to a hook, at the priority
// that nft calls dstnat or srcnat. Only the first packet of a connection meets
// its rules.
func (n *Net) NAT(f Family, h Hook) (*Chain, error) {
	priority := *nftables.ChainPriorityNATDest
	if h == Input || h == Postrouting {
		priority = *nftables.ChainPriorityNATSource
	}
	return n.NATAt(f, h, int(priority))
}

// NATAt is NAT at another priority. It makes no difference to packets, only to the
// order of such chains among themselves.
func (n *Net) NATAt(f Family, h Hook, priority int) (*Chain, error) {
	return n.addChain(f, h, priority, "", nftables.ChainTypeNAT)
}

// DNAT sends the connection to another address. Put it into a chain of [Net.NAT].
func DNAT(to netip.AddrPort) Term {
	const portRegister = unix.NFT_REG_2
	return action(
		&expr.Immediate{Register: register, Data: to.Addr().AsSlice()},
		&expr.Immediate{Register: portRegister, Data: binary.BigEndian.AppendUint16(nil, to.Port())},
		&expr.NAT{
			Type: expr.NATTypeDestNAT, Family: uint32(nfproto(to.Addr())), Specified: true,
			RegAddrMin: register, RegAddrMax: register, RegProtoMin: portRegister, RegProtoMax: portRegister,
		},
	)
}

func nfproto(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Masquerade gives the connection the address of the device that it leaves by.
// Put it into a chain of [Net.NAT].
func Masquerade() Term { return action(&expr.Masq{}) }

// SynProxy answers TCP's SYN in the server's stead, and begins the connection to
// it once the client has confirmed. Packets have to be untracked, and the hook
// be [Input] or [Forward].
func SynProxy() Term {
	return action(&expr.SynProxy{Mss: 1460, MssValueSet: true, Wscale: 7, WscaleValueSet: true, Timestamp: true, SackPerm: true})
}

// Helper makes a rule's object of a connection tracking helper, "ftp" for
// example, and returns the action that assigns it to new connections. The error
// wraps [unix.ENOENT] if the kernel has no such helper.
func (n *Net) Helper(f Family, name string, protocol byte) (Term, error) {
	object := fmt.Sprintf("%s-%d", name, serial.Add(1))
	err := n.addObject(f, object, nftables.ObjTypeCtHelper, &expr.CtHelper{Name: name + "\x00", L4Proto: protocol})
	return action(&expr.Objref{Type: int(nftables.ObjTypeCtHelper), Name: object}), wrap(err, "add helper %s", name)
}

// SecMark makes a rule's object of the label of a security module, and returns
// the action that gives it to packets. The error wraps [unix.EOPNOTSUPP] if no
// security module has labels.
func (n *Net) SecMark(f Family, label string) (Term, error) {
	object := fmt.Sprintf("label-%d", serial.Add(1))
	err := n.addObject(f, object, nftables.ObjTypeSecMark, &expr.SecMark{Ctx: label})
	return action(&expr.Objref{Type: int(nftables.ObjTypeSecMark), Name: object}), wrap(err, "add label %q", label)
}

// addObject adds a named object to the lab's table of a family.
func (n *Net) addObject(f Family, name string, t nftables.ObjType, object expr.Any) error {
	return n.nft(func(conn *nftables.Conn) {
		table := conn.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamily(f)})
		conn.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: t, Obj: object})
	})
}

// SetCTSecMark gives the packet's connection the label that [Net.SecMark] gave
// the packet, and goes on to the next term.
func SetCTSecMark() Term {
	return action(
		&expr.Meta{Key: expr.MetaKeySECMARK, Register: register},
		&expr.Ct{Key: expr.CtKeySECMARK, SourceRegister: true, Register: register},
	)
}
