package capfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// bothOrders calls f for each byte order.
func bothOrders(t *testing.T, f func(t *testing.T, order binary.AppendByteOrder)) {
	t.Run("little-endian", func(t *testing.T) { f(t, binary.LittleEndian) })
	t.Run("big-endian", func(t *testing.T) { f(t, binary.BigEndian) })
}

// numbers appends 32-bit numbers.
func numbers(order binary.AppendByteOrder, b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = order.AppendUint32(b, v)
	}
	return b
}

// block returns a block of pcapng.
func block(order binary.AppendByteOrder, typ uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := numbers(order, nil, typ, uint32(12+len(body)))
	return numbers(order, append(b, body...), uint32(12+len(body)))
}

// blocks returns a pcapng file: a section, an interface of 1 µs and one of 2^-10 s,
// a block that nobody knows, a packet of each interface, and one without a time.
func blocks(order binary.AppendByteOrder) []byte {
	b := block(order, blockSection, numbers(order, nil, magicSection, 0x00010000, 0xffffffff, 0xffffffff))
	b = append(b, block(order, blockInterface, numbers(order, nil, link(order, LinkRaw), 3))...)
	options := order.AppendUint16(order.AppendUint16(nil, 9), 1)
	options = append(options, 0x80|10, 0, 0, 0)
	b = append(b, block(order, blockInterface, append(numbers(order, nil, link(order, LinkSLL2), 0), options...))...)
	b = append(b, block(order, 77, []byte("what is it"))...)
	b = append(b, block(order, blockPacket, append(numbers(order, nil, 0, 0, 1_500_000, 3, 10), "abc"...))...)
	b = append(b, block(order, blockPacket, append(numbers(order, nil, 1, 1, 512, 2, 2), "de"...))...)
	return append(b, block(order, blockSimple, append(numbers(order, nil, 9), "fgh"...))...)
}

// link returns what the first four bytes of an interface are.
func link(order binary.AppendByteOrder, n uint16) uint32 {
	b := order.AppendUint16(order.AppendUint16(nil, n), 0)
	return order.(binary.ByteOrder).Uint32(b)
}

func TestPcapng(t *testing.T) {
	bothOrders(t, func(t *testing.T, order binary.AppendByteOrder) {
		check(t, blocks(order), []Record{
			{Link: LinkRaw, Data: []byte("abc"), Length: 10, Time: time.Unix(1, 500_000_000)},
			{Link: LinkSLL2, Data: []byte("de"), Length: 2, Time: time.Unix(1<<22, 500_000_000)},
			{Link: LinkRaw, Data: []byte("fgh"), Length: 9},
		})
	})
}

// A second section may be in the other byte order, and has interfaces of its own.
func TestPcapngSections(t *testing.T) {
	got, err := Read(append(blocks(binary.LittleEndian), blocks(binary.BigEndian)...))
	if err != nil || len(got) != 6 || got[0].Order != binary.LittleEndian || got[5].Order != binary.BigEndian {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPcap(t *testing.T) {
	bothOrders(t, func(t *testing.T, order binary.AppendByteOrder) {
		for magic, nanoseconds := range map[uint32]int64{magicMicro: 5000, magicNano: 5} {
			b := numbers(order, nil, magic, 0x00040002, 0, 0, 0xffff, LinkIPv4)
			b = append(numbers(order, b, 7, 5, 3, 60), "abc"...)
			check(t, b, []Record{{Link: LinkIPv4, Data: []byte("abc"), Length: 60, Time: time.Unix(7, nanoseconds)}})
		}
	})
}

// check checks what is in a file, and that it is an error where it ends in a record.
func check(t *testing.T, b []byte, want []Record) {
	t.Helper()
	got, err := Read(b)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %v, %v", got, err)
	}
	for i, w := range want {
		if g := got[i]; g.Link != w.Link || !bytes.Equal(g.Data, w.Data) || g.Length != w.Length || !w.Time.IsZero() && !g.Time.Equal(w.Time) {
			t.Errorf("record %d is %+v, want %+v", i, g, w)
		}
	}
	if _, err := Read(b[:len(b)-1]); !errors.Is(err, ErrFormat) {
		t.Errorf("without its last byte: %v", err)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, b[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(name); !errors.Is(err, ErrFormat) {
		t.Errorf("ten bytes: %v", err)
	}
}

// No file makes Read panic, and no record has more data than the file.
func FuzzRead(f *testing.F) {
	f.Add(blocks(binary.LittleEndian))
	f.Add(blocks(binary.BigEndian))
	f.Add(append(numbers(binary.LittleEndian, nil, magicMicro, 0x00040002, 0, 0, 0xffff, LinkNetlink, 7, 5, 3, 60), "abc"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := Read(b)
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("the error is %v", err)
		}
		sum := 0
		for _, r := range records {
			sum += len(r.Data)
			if n, ok := r.Network(); ok && len(n.Payload) > len(r.Data) {
				t.Errorf("%d bytes of %d", len(n.Payload), len(r.Data))
			}
			r.Netlink()
		}
		if sum > len(b) {
			t.Errorf("%d bytes of a file of %d", sum, len(b))
		}
	})
}
