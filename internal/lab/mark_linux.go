package lab

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// MarkBits matches packets whose mark has these values in the bits of mask.
func MarkBits(mark, mask uint32) Term {
	return Term{exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, mark)},
	}}
}

// RouteMarked routes packets for dst that carry the mark out of a device, by a
// routing table of their own.
func (n *Net) RouteMarked(mark uint32, dst netip.Prefix, device string) error {
	const table = 100
	ifi, err := n.device(device)
	if err != nil {
		return wrap(err, "route marked packets")
	}
	// struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags
	header := []byte{family(dst.Addr()), 0, 0, 0, table, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.FRA_FWMARK, mark)
	if _, err := n.request(unix.RTM_NEWRULE, netlink.Create|netlink.Excl, header, ae); err != nil {
		return wrap(err, "look up mark %#x in table %d", mark, table)
	}
	// struct rtmsg, as in AddRoute
	header = []byte{
		family(dst.Addr()), byte(dst.Bits()), 0, 0,
		table, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST,
		0, 0, 0, 0,
	}
	ae = netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, dst.Masked().Addr().AsSlice())
	ae.Uint32(unix.RTA_OIF, uint32(ifi.Index))
	_, err = n.request(unix.RTM_NEWROUTE, netlink.Create|netlink.Excl, header, ae)
	return wrap(err, "route %s out of %s", dst, device)
}
