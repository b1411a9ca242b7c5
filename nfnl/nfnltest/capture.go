package nfnltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errCapture is what a file that cannot be read is refused with.
var errCapture = errors.New("nfnltest: no capture file, or one that was cut")

// ReadCapture returns the IP packets of a capture file, each from its network header
// on: to enqueue or to log them again. The file has the format pcap or pcapng, and a
// link type out of Ethernet, RAW, IPV4, IPV6 and LINUX_SLL2. What is not IP is left
// out. What a file that was cut has before the cut comes with the error.
func ReadCapture(r io.Reader) (packets [][]byte, err error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, errCapture
	}
	if binary.BigEndian.Uint32(b) == sectionHeader {
		return readBlocks(b)
	}
	return readRecords(b)
}

// Link types, as in tcpdump.org/linktypes.html.
const (
	linkEthernet  = 1
	linkRaw       = 101
	linkIPv4      = 228
	linkIPv6      = 229
	linkLinuxSLL2 = 276
)

// linkHeaders has the lengths of headers, and where in them the EtherType is.
var linkHeaders = map[uint32]struct{ length, etherType int }{
	linkEthernet:  {14, 12},
	linkRaw:       {0, -1},
	linkIPv4:      {0, -1},
	linkIPv6:      {0, -1},
	linkLinuxSLL2: {20, 0},
}

// network returns the IP packet in a frame, nil if there is none.
func network(frame []byte, link uint32) ([]byte, error) {
	h, ok := linkHeaders[link]
	if !ok {
		return nil, fmt.Errorf("nfnltest: a capture file of link type %d, which is not known", link)
	}
	if len(frame) <= h.length {
		return nil, nil
	}
	if h.etherType >= 0 {
		switch binary.BigEndian.Uint16(frame[h.etherType:]) {
		case 0x0800, 0x86dd:
		default:
			return nil, nil
		}
	}
	return frame[h.length:], nil
}

// readRecords reads the format pcap.
//
//	 0      4          8           16        20      24
//	| magic | version | time zone | snaplen | link |  the file
//
//	 0      8                  12      16
//	| time | bytes that follow | length | frame      each record
func readRecords(b []byte) (packets [][]byte, err error) {
	const fileHeader, recordHeader = 24, 16
	const micro, nano = 0xa1b2c3d4, 0xa1b23c4d
	var order binary.ByteOrder = binary.LittleEndian
	if m := binary.BigEndian.Uint32(b); m == micro || m == nano {
		order = binary.BigEndian
	} else if m := order.Uint32(b); m != micro && m != nano {
		return nil, errCapture
	}
	if len(b) < fileHeader {
		return nil, errCapture
	}
	link := order.Uint32(b[20:]) & 0xffff // above that are bits about the FCS
	for b = b[fileHeader:]; len(b) > 0; {
		if len(b) < recordHeader {
			return packets, errCapture
		}
		n := uint64(order.Uint32(b[8:]))
		if b = b[recordHeader:]; n > uint64(len(b)) {
			return packets, errCapture
		}
		p, err := network(b[:n:n], link)
		if err != nil {
			return packets, err
		}
		if p != nil {
			packets = append(packets, p)
		}
		b = b[n:]
	}
	return packets, nil
}

// Block types of pcapng.
const (
	sectionHeader        = 0x0a0d0d0a
	interfaceDescription = 1
	enhancedPacket       = 6
)

// readBlocks reads the format pcapng.
//
//	 0      4        8                               the block ends with its length again
//	| type | length | ...
//	                | byte order magic ...           section header
//	                | link 2 | ...                   interface description
//	                | interface | time 8 | bytes that follow | length | frame ...
func readBlocks(b []byte) (packets [][]byte, err error) {
	const least, packetHeader = 12, 20
	var order binary.ByteOrder = binary.LittleEndian
	var links []uint32
	for len(b) > 0 {
		if len(b) < least+4 {
			return packets, errCapture
		}
		if binary.BigEndian.Uint32(b) == sectionHeader {
			order, links = binary.LittleEndian, nil
			if binary.BigEndian.Uint32(b[8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
		}
		n := uint64(order.Uint32(b[4:]))
		if n < least || n%4 != 0 || n > uint64(len(b)) {
			return packets, errCapture
		}
		typ, body := order.Uint32(b), b[8:n-4]
		b = b[n:]
		switch {
		case typ == interfaceDescription && len(body) >= 2:
			links = append(links, uint32(order.Uint16(body)))
		case typ == enhancedPacket && len(body) >= packetHeader:
			iface, length := order.Uint32(body), uint64(order.Uint32(body[12:]))
			if frame := body[packetHeader:]; uint64(iface) >= uint64(len(links)) || length > uint64(len(frame)) {
				return packets, errCapture
			} else if p, err := network(frame[:length:length], links[iface]); err != nil {
				return packets, err
			} else if p != nil {
				packets = append(packets, p)
			}
		}
	}
	return packets, nil
}
