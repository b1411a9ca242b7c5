// Package capfile reads capture files, pcap and pcapng, for the test kits and for
// tests.
package capfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// Link types, of https://www.tcpdump.org/linktypes.html.
const (
	LinkEthernet = 1
	LinkRaw      = 101
	LinkSLL      = 113
	LinkIPv4     = 228
	LinkIPv6     = 229
	LinkNFLOG    = 239
	LinkNetlink  = 253
	LinkSLL2     = 276
)

// A Record is one packet of a file.
type Record struct {
	Link   int
	Time   time.Time
	Data   []byte // from the link type's header on
	Length int    // of Data before it was cut

	// Order is the byte order of the machine that wrote the file. Netlink messages
	// are in it.
	Order binary.ByteOrder
}

// ErrFormat is why a file cannot be read.
var ErrFormat = errors.New("no whole pcap or pcapng file")

// Numbers that files begin with, in the byte order of the file.
const (
	magicMicro   = 0xa1b2c3d4 // pcap, with times in microseconds
	magicNano    = 0xa1b23c4d // pcap, in nanoseconds
	blockSection = 0x0a0d0d0a // pcapng; the same in either order
	magicSection = 0x1a2b3c4d // pcapng, eight bytes later
)

// ReadFile reads a file. The error wraps ErrFormat where it is none of these, or
// ends in a record.
func ReadFile(name string) ([]Record, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	records, err := Read(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return records, nil
}

// Read reads what is in a file. The records' Data are parts of b.
func Read(b []byte) ([]Record, error) {
	if len(b) < 4 {
		return nil, ErrFormat
	}
	if binary.BigEndian.Uint32(b) == blockSection {
		return readBlocks(b)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b) {
		case magicMicro:
			return readPcap(b, order, time.Microsecond)
		case magicNano:
			return readPcap(b, order, time.Nanosecond)
		}
	}
	return nil, ErrFormat
}

// readPcap reads the format pcap.
//
//	 0      4          8           16        20      24
//	| magic | version | time zone | snaplen | link |  the file
//
//	 0         4          8                  12      16
//	| seconds | fraction | bytes that follow | length | data   each record
func readPcap(b []byte, order binary.ByteOrder, unit time.Duration) (records []Record, err error) {
	const fileHeader, recordHeader = 24, 16
	if len(b) < fileHeader {
		return nil, ErrFormat
	}
	link := int(order.Uint32(b[20:]) & 0xffff) // above it is the length of a frame check sequence
	for b = b[fileHeader:]; len(b) > 0; {
		if len(b) < recordHeader || uint64(order.Uint32(b[8:])) > uint64(len(b)-recordHeader) {
			return nil, ErrFormat
		}
		end := recordHeader + int(order.Uint32(b[8:]))
		records = append(records, Record{
			Link: link, Order: order, Data: b[recordHeader:end:end], Length: int(order.Uint32(b[12:])),
			Time: time.Unix(int64(order.Uint32(b)), int64(order.Uint32(b[4:]))*int64(unit)),
		})
		b = b[end:]
	}
	return records, nil
}
