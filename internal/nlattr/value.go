package nlattr

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/nfpacket/nfpacket/attr"
)

// Time decodes the value of an attribute with a time of microsecond resolution, in
// the local time zone. The zero Time says that there are less than 16 bytes.
//
//	|    8 bytes    |    8 bytes    |
//	|    seconds    | microseconds  |
//
// That is struct nfqnl_msg_packet_timestamp of linux/netfilter/nfnetlink_queue.h
// and struct nfulnl_msg_packet_timestamp of nfnetlink_log.h.
func Time(v []byte) time.Time {
	if len(v) < 16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))*1000)
}

// AppendTime adds an attribute with t, cut to microseconds.
func AppendTime(b []byte, typ uint16, t time.Time) []byte {
	var v [16]byte
	binary.BigEndian.PutUint64(v[:], uint64(t.Unix()))
	binary.BigEndian.PutUint64(v[8:], uint64(t.Nanosecond()/1000))
	return attr.AppendBytes(b, typ, v[:])
}

// maxHardwareAddr is the room for the address in struct nfqnl_msg_packet_hw and
// struct nfulnl_msg_packet_hw.
const maxHardwareAddr = 8

// HardwareAddr decodes the value of an attribute with a link-layer address of at most
// 8 bytes. Nil says that there are less than 4.
//
//	|  2 bytes  |  2 bytes  |      8 bytes      |
//	|  length   |  padding  | address and junk  |
//
// The address is a part of v. A length that goes beyond the field is truncated to
// what is there: link layers with longer addresses, such as InfiniBand, tell the
// length that didn't fit.
func HardwareAddr(v []byte) net.HardwareAddr {
	if len(v) < 4 {
		return nil
	}
	n := min(int(binary.BigEndian.Uint16(v)), maxHardwareAddr, len(v)-4)
	return net.HardwareAddr(v[4 : 4+n : 4+n])
}

// AppendHardwareAddr adds an attribute with at most the first 8 bytes of a.
func AppendHardwareAddr(b []byte, typ uint16, a net.HardwareAddr) []byte {
	var v [4 + maxHardwareAddr]byte
	v[1] = byte(copy(v[4:], a))
	return attr.AppendBytes(b, typ, v[:])
}
