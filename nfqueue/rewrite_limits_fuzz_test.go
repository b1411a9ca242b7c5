package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// newKernelDrops is what nfqnl_validate_write of Linux 7.2 does, written down
// without regard to speed.
func newKernelDrops(f nfnl.Family, old, b []byte) bool {
	switch f {
	case nfnl.IPv4:
		if len(b) < 20 || b[0]>>4 != 4 || b[0]&0xf < 5 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
			return true
		}
		n := int(b[0]&0xf) * 4
		if n > len(b) || n > len(old) || b[0]&0xf != old[0]&0xf || !bytes.Equal(b[20:n], old[20:n]) {
			return true
		}
		return b[6]&0xbf != old[6]&0xbf || b[7] != old[7] // all but IP_DF
	case nfnl.IPv6:
		if len(b) < 40 || len(old) < 40 || b[0]>>4 != 6 || int(binary.BigEndian.Uint16(b[4:])) != len(b)-40 || b[6] != old[6] {
			return true
		}
		end, count := 40, 0
		for next := old[6]; bytes.IndexByte([]byte{0, 43, 44, 51, 60}, next) >= 0; count++ {
			if count == 12 || end+8 > len(old) {
				return true
			}
			n := 8 + int(old[end+1])*8
			if next == 44 {
				n = 8
			}
			if next == 51 {
				n = 8 + int(old[end+1])*4
			}
			if end+n > len(old) || end+n > len(b) || !bytes.Equal(old[end:end+n], b[end:end+n]) {
				return true
			}
			next, end = old[end], end+n
		}
		return false
	}
	return true
}

// FuzzRestriction changes a byte and the length of a packet, and checks that
// exactly that is refused which the kernel would drop.
func FuzzRestriction(f *testing.F) {
	for _, b := range [][]byte{plain4, options4, plain6, extension6, fragment6} {
		f.Add(b, uint8(family(b)), uint16(0), byte(0), int8(0), true)
		f.Add(b, uint8(family(b)), uint16(6), byte(0x40), int8(0), false)
		f.Add(b, uint8(family(b)), uint16(41), byte(1), int8(0), false)
		f.Add(b, uint8(family(b)), uint16(50), byte(1), int8(3), true)
		f.Add(b, uint8(nfnl.Bridge), uint16(50), byte(1), int8(3), true)
	}
	for n := 11; n < 15; n++ { // as many extension headers
		b := finished("60000000 0000 00 40", addresses6, bytes.Repeat(wire("3c00010400000000"), n-1), "3b00010400000000")
		f.Add(b, uint8(nfnl.IPv6), uint16(7), byte(1), int8(0), false)
	}
	for _, next := range []string{"2c", "33", "2b"} { // of another kind, long
		b := finished("60000000 0000", next, "40", addresses6, "1101000000000000 1234000900000000 1234000900000000")
		for at := 40; at < len(b); at += 4 {
			f.Add(b, uint8(nfnl.IPv6), uint16(at), byte(1), int8(0), false)
		}
	}
	q, k := nfqueuetest.Open(f, nfqueue.Config{Queue: 7})
	q.Restrict(nfqueue.SameHeaders)
	batch := q.NewBatch()
	f.Fuzz(func(t *testing.T, old []byte, fam uint8, at uint16, flip byte, more int8, finish bool) {
		if fam == 0 || len(old) < 20 || len(old) > 4096 || len(old)+int(more) < 1 {
			return // a family of 0 is for the fake kernel to say
		}
		b := append(bytes.Clone(old), make([]byte, 128)...)[:len(old)+int(more)]
		b[int(at)%len(b)] ^= flip
		k.Enqueue(nfqueue.Packet{Payload: old, Family: nfnl.Family(fam), Proto: 0xffff})
		receive(t, q, batch, 1)
		p := &batch.Packets[0]
		if finish && nfqueue.Finish(b) != nil {
			return
		}
		_, err := nfqueue.Accept().WithRawPayload(b).Append(nil, p)
		if drops := newKernelDrops(nfnl.Family(fam), old, b); drops != errors.Is(err, nfqueue.ErrRewriteForbidden) || !drops && err != nil {
			t.Errorf("the kernel drops it: %v; got %v\nold % x\nnew % x", drops, err, old, b)
		}
	})
}
