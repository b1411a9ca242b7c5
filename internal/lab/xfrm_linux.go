package lab

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ESP protects what goes between two hosts, IPsec in transport mode. Call it at
// both; out says whether packets from src to dst leave here. The error wraps
// [errors.ErrUnsupported] if the kernel has no IPsec.
func (n *Net) ESP(src, dst netip.Addr, out bool) error {
	const newState, newPolicy = 0x10, 0x13 // XFRM_MSG_NEWSA, XFRM_MSG_NEWPOLICY
	const auth, crypt, template = 1, 2, 5  // XFRMA_ALG_AUTH, XFRMA_ALG_CRYPT, XFRMA_TMPL
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(auth, algorithm("hmac(sha256)", 32))
	ae.Bytes(crypt, algorithm("cbc(aes)", 16))
	if err := n.xfrm(newState, xfrmState(src, dst), ae); err != nil {
		return unsupported(wrap(err, "add ESP from %v to %v", src, dst))
	}
	ae = netlink.NewAttributeEncoder()
	ae.Bytes(template, xfrmTemplate(src, dst))
	return wrap(n.xfrm(newPolicy, xfrmPolicy(src, dst, out), ae), "use ESP from %v to %v", src, dst)
}

func (n *Net) xfrm(typ netlink.HeaderType, header []byte, ae *netlink.AttributeEncoder) error {
	attrs, err := ae.Encode()
	if err != nil {
		return err
	}
	conn, err := netlink.Dial(unix.NETLINK_XFRM, &netlink.Config{NetNS: n.FD()})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data:   append(header, attrs...),
	})
	return err
}

// algorithm returns a struct xfrm_algo with a key of n bytes.
func algorithm(name string, n int) []byte {
	b := make([]byte, 64+4+n)
	copy(b, name)
	binary.NativeEndian.PutUint32(b[64:], uint32(n*8))
	return b
}

// Parts of the messages, linux/xfrm.h.
const (
	espSPI      = 0x100
	selectorLen = 56 // struct xfrm_selector
	idLen       = 24 // struct xfrm_id
	limitsLen   = 64 // struct xfrm_lifetime_cfg
	countsLen   = 32 // struct xfrm_lifetime_cur
)

// selector returns a struct xfrm_selector of all between two addresses.
func selector(src, dst netip.Addr) []byte {
	b := make([]byte, selectorLen)
	copy(b, dst.AsSlice())
	copy(b[16:], src.AsSlice())
	binary.NativeEndian.PutUint16(b[40:], uint16(family(src)))
	b[42], b[43] = byte(dst.BitLen()), byte(src.BitLen())
	return b
}

// xfrmID returns a struct xfrm_id.
func xfrmID(dst netip.Addr) []byte {
	b := make([]byte, idLen)
	copy(b, dst.AsSlice())
	binary.BigEndian.PutUint32(b[16:], espSPI)
	b[20] = unix.IPPROTO_ESP
	return b
}

// unlimited returns a struct xfrm_lifetime_cfg and a struct xfrm_lifetime_cur.
func unlimited() []byte {
	b := make([]byte, limitsLen+countsLen)
	for i := range 4 { // bytes and packets, soft and hard
		binary.NativeEndian.PutUint64(b[i*8:], 1<<64-1)
	}
	return b
}

// xfrmState returns a struct xfrm_usersa_info.
func xfrmState(src, dst netip.Addr) []byte {
	const size = 224
	b := append(make([]byte, selectorLen), xfrmID(dst)...) // of any packets
	b = append(b, addressOf(src)...)
	b = append(b, unlimited()...)
	b = append(b, make([]byte, 12+4+4)...) // struct xfrm_stats, seq, reqid
	b = binary.NativeEndian.AppendUint16(b, uint16(family(src)))
	return append(b, make([]byte, size-len(b))...) // transport mode, no replay window
}

// xfrmPolicy returns a struct xfrm_userpolicy_info.
func xfrmPolicy(src, dst netip.Addr, out bool) []byte {
	const size = 168
	b := append(selector(src, dst), unlimited()...)
	b = append(b, make([]byte, 4+4)...) // priority, index
	b = append(b, bit(out))             // XFRM_POLICY_IN, XFRM_POLICY_OUT
	return append(b, make([]byte, size-len(b))...)
}

// xfrmTemplate returns a struct xfrm_user_tmpl.
func xfrmTemplate(src, dst netip.Addr) []byte {
	b := xfrmID(dst)
	b = binary.NativeEndian.AppendUint16(b, uint16(family(src)))
	b = append(b, 0, 0)
	b = append(b, addressOf(src)...)
	b = append(b, make([]byte, 4+4)...)                                                      // reqid, transport mode
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // any algorithms
}

// addressOf returns an xfrm_address_t.
func addressOf(a netip.Addr) []byte {
	b := make([]byte, 16)
	copy(b, a.AsSlice())
	return b
}
