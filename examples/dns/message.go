package main

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// A message is as much of a DNS message as this program looks at (RFC 1035,
// section 4.1). The zero message is that of bytes that are none.
//
//	 0     2              4           6         8                   12
//	| ID  | QR, ...      | questions | answers | authority, additional| question | answers
type message struct {
	response bool
	name     string // asked for, in lower case, without the last dot
	answers  int
	rest     []byte // from the first answer on
}

// parse reads a message with one question.
func parse(b []byte) message {
	const header, one = 12, 1
	if len(b) < header || binary.BigEndian.Uint16(b[4:]) != one {
		return message{}
	}
	m := message{response: b[2]&0x80 != 0, answers: int(binary.BigEndian.Uint16(b[6:]))}
	labels, rest := cutName(b[header:])
	if len(rest) < 4 { // type and class
		return message{}
	}
	m.name, m.rest = strings.ToLower(strings.Join(labels, ".")), rest[4:]
	return m
}

// cutName returns the labels of the name that b starts with, up to a pointer, and
// what follows the name: nil if it is cut.
func cutName(b []byte) (labels []string, rest []byte) {
	for len(b) > 0 {
		n := int(b[0])
		switch {
		case n == 0:
			return labels, b[1:]
		case n >= 0xc0 && len(b) >= 2: // a pointer, which ends it
			return labels, b[2:]
		case n >= 64 || n >= len(b):
			return nil, nil
		}
		labels, b = append(labels, string(b[1:1+n])), b[1+n:]
	}
	return nil, nil
}

// setAddresses changes, in place, the addresses of all answers, and reports
// whether there are any.
//
//	| name | type 2 | class 2 | TTL 4 | length 2 | data
func (m message) setAddresses(a, aaaa netip.Addr) (changed bool) {
	const fixed, typeA, typeAAAA = 10, 1, 28
	b := m.rest
	for range m.answers {
		if _, b = cutName(b); len(b) < fixed {
			break
		}
		typ, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[8:]))
		if b = b[fixed:]; len(b) < n {
			break
		}
		switch {
		case typ == typeA && n == 4 && a.Is4():
			changed = copy(b, a.AsSlice()) > 0
		case typ == typeAAAA && n == 16 && aaaa.Is6():
			changed = copy(b, aaaa.AsSlice()) > 0
		}
		b = b[n:]
	}
	return changed
}
