package capfile

import (
	"encoding/binary"
	"math"
	"time"
)

// Blocks of pcapng, of https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng.
// Others are skipped.
const (
	blockInterface = 1
	blockSimple    = 3
	blockPacket    = 6 // "enhanced"
)

// A section is what its later blocks refer to.
type section struct {
	order      binary.ByteOrder
	interfaces []device
}

// A device is an interface of a section.
type device struct {
	link int
	snap uint32  // bytes of a packet, 0 is any number
	unit float64 // of a time, in seconds
}

// readBlocks reads the format pcapng: blocks, each with its length at both ends.
//
//	 0      4        8           length-4   length
//	| type | length | body, padded | length |
func readBlocks(b []byte) (records []Record, err error) {
	var s section
	for len(b) > 0 {
		if len(b) < 12 {
			return nil, ErrFormat
		}
		if binary.BigEndian.Uint32(b) == blockSection {
			if s, err = newSection(b); err != nil {
				return nil, err
			}
		}
		length := uint64(s.order.Uint32(b[4:]))
		if length < 12 || length%4 != 0 || length > uint64(len(b)) {
			return nil, ErrFormat
		}
		r, ok, err := s.read(s.order.Uint32(b), b[8:length-4])
		if err != nil {
			return nil, err
		}
		if ok {
			records = append(records, r)
		}
		b = b[length:]
	}
	return records, nil
}

// newSection returns the section whose header b begins with.
func newSection(b []byte) (section, error) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(b[8:]) == magicSection {
			return section{order: order}, nil
		}
	}
	return section{}, ErrFormat
}

// read reads the body of a block, and reports whether it is a packet.
func (s *section) read(typ uint32, body []byte) (r Record, ok bool, err error) {
	switch typ {
	case blockInterface:
		return r, false, s.addInterface(body)
	case blockPacket:
		r, err = s.packet(body)
		return r, err == nil, err
	case blockSimple:
		r, err = s.simple(body)
		return r, err == nil, err
	}
	return r, false, nil
}

// addInterface reads an interface.
//
//	 0      2          4         8
//	| link | reserved | snaplen | options
func (s *section) addInterface(b []byte) error {
	if len(b) < 8 {
		return ErrFormat
	}
	const optionResolution = 9 // if_tsresol
	d := device{link: int(s.order.Uint16(b)), snap: s.order.Uint32(b[4:]), unit: 1e-6}
	for b = b[8:]; len(b) >= 4; {
		code, length := s.order.Uint16(b), int(s.order.Uint16(b[2:]))
		padded := 4 + (length+3)&^3
		if padded > len(b) {
			return ErrFormat
		}
		if code == optionResolution && length == 1 {
			d.unit = resolution(b[4])
		}
		b = b[padded:]
	}
	s.interfaces = append(s.interfaces, d)
	return nil
}

// resolution returns the unit that a byte of if_tsresol names, in seconds: a
// negative power of 10, or of 2 with the highest bit set.
func resolution(b byte) float64 {
	if b&0x80 != 0 {
		return math.Pow(2, -float64(b&0x7f))
	}
	return math.Pow(10, -float64(b))
}

// packet reads a packet.
//
//	 0           4           8          12                 16       20
//	| interface | time, high | time, low | bytes that follow | length | data
func (s *section) packet(b []byte) (Record, error) {
	const header = 20
	if len(b) < header || uint64(s.order.Uint32(b)) >= uint64(len(s.interfaces)) ||
		uint64(s.order.Uint32(b[12:])) > uint64(len(b)-header) {
		return Record{}, ErrFormat
	}
	d := s.interfaces[s.order.Uint32(b)]
	end := header + int(s.order.Uint32(b[12:]))
	return Record{
		Link: d.link, Order: s.order, Data: b[header:end:end], Length: int(s.order.Uint32(b[16:])),
		Time: d.time(uint64(s.order.Uint32(b[4:]))<<32 | uint64(s.order.Uint32(b[8:]))),
	}, nil
}

// time returns the time of a number of units.
func (d device) time(units uint64) time.Time {
	if d.unit == 1e-9 || d.unit == 1e-6 { // exactly
		perSecond := uint64(math.Round(1 / d.unit))
		return time.Unix(int64(units/perSecond), int64(units%perSecond*(1e9/perSecond)))
	}
	seconds, fraction := math.Modf(float64(units) * d.unit)
	return time.Unix(int64(seconds), int64(fraction*1e9))
}

// simple reads a packet without a time, of the first interface. How many bytes
// follow is not said.
//
//	 0        4
//	| length | data
func (s *section) simple(b []byte) (Record, error) {
	if len(b) < 4 || len(s.interfaces) == 0 {
		return Record{}, ErrFormat
	}
	d, length := s.interfaces[0], s.order.Uint32(b)
	n := uint64(length)
	if d.snap != 0 {
		n = min(n, uint64(d.snap))
	}
	if n > uint64(len(b)-4) {
		return Record{}, ErrFormat
	}
	return Record{Link: d.link, Order: s.order, Data: b[4 : 4+n : 4+n], Length: int(length)}, nil
}
