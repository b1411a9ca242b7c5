// Package captured has for tests what real kernels sent and were sent: the
// files in testdata/captured of nfqueue and nflog, which the tests called
// TestCapture of internal/endtoend write. They are pcap files of link type
// NETLINK, which Wireshark opens. Netlink is in host byte order, so a machine
// decodes those captured in its own.
package captured

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
)

// A File has the datagrams of one connection to the kernel.
type File struct {
	Name      string // of the pcap file
	Order     binary.ByteOrder
	Datagrams [][]byte
}

// Files returns the files below a package's folder, of all byte orders.
func Files(t testing.TB, pkg string) (files []File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(pkg, "testdata", "captured", "*", "*.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := File{Name: name}
		f.read(t, b)
		files = append(files, f)
	}
	return files
}

// Native returns the files of the package in the current folder that are in this
// machine's byte order.
func Native(t testing.TB) (files []File) {
	t.Helper()
	for _, f := range Files(t, ".") {
		if f.Order.Uint16([]byte{1, 0}) == binary.NativeEndian.Uint16([]byte{1, 0}) {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Fatal("no captured file is in this machine's byte order")
	}
	return files
}

// read reads the format pcap.
//
//	 0      4          8           16        20      24
//	| magic | version | time zone | snaplen | link |  the file
//
//	 0      8                  12      16                 30       32
//	| time | bytes that follow | length | cooked header ... | family | datagram   each record
func (f *File) read(t testing.TB, b []byte) {
	t.Helper()
	const magic, fileHeader, recordHeader, cookedHeader = 0xa1b2c3d4, 24, 16, 16
	const linkNetlink, netfilter = 253, 12
	f.Order = binary.LittleEndian
	if binary.BigEndian.Uint32(b) == magic {
		f.Order = binary.BigEndian
	}
	if link := f.Order.Uint32(b[20:]); link != linkNetlink {
		t.Fatalf("%s: link type %d", f.Name, link)
	}
	for b = b[fileHeader:]; len(b) > 0; {
		length := f.Order.Uint32(b[8:])
		record := b[recordHeader : recordHeader+length]
		b = b[recordHeader+length:]
		if family := binary.BigEndian.Uint16(record[14:]); family != netfilter {
			t.Fatalf("%s: a message of netlink family %d", f.Name, family)
		}
		f.Datagrams = append(f.Datagrams, record[cookedHeader:])
	}
}

// Messages returns the messages of a type in a file of this machine's byte order.
func (f File) Messages(t testing.TB, typ nfnl.Type) (messages []nfnl.Message) {
	t.Helper()
	for _, rest := range f.Datagrams {
		for len(rest) > 0 {
			m, next, err := nfnl.Next(rest)
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if rest = next; m.Type == typ {
				messages = append(messages, m)
			}
		}
	}
	return messages
}
