// Package captured has for tests what real kernels sent and were sent: the
// files in testdata/captured of nfqueue and nflog, which TestCaptureQueue and
// TestCaptureLog of internal/endtoend/conntrack write. They are pcap files of link type
// NETLINK, which Wireshark opens. Netlink is in host byte order, so a machine
// decodes those captured in its own.
package captured

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/nfpacket/nfpacket/internal/capfile"
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
		if f.IsNative() {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Fatal("no captured file is in this machine's byte order")
	}
	return files
}

// IsNative reports whether a file is in this machine's byte order.
func (f File) IsNative() bool {
	return f.Order.Uint16([]byte{1, 0}) == binary.NativeEndian.Uint16([]byte{1, 0})
}

// read reads the file's datagrams.
func (f *File) read(t testing.TB, b []byte) {
	t.Helper()
	records, err := capfile.Read(b)
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	for _, r := range records {
		messages, _, ok := r.Netlink()
		if !ok {
			t.Fatalf("%s: link type %d, or a message of another netlink family", f.Name, r.Link)
		}
		f.Order, f.Datagrams = r.Order, append(f.Datagrams, messages)
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

// WritePcap writes a pcap file of one record for a test, and returns its name.
func WritePcap(t testing.TB, link uint32, data []byte) (name string) {
	t.Helper()
	var b []byte
	for _, v := range []uint32{0xa1b2c3d4, 0x00040002, 0, 0, 0xffff, link, 7, 0, uint32(len(data)), uint32(len(data))} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	name = filepath.Join(t.TempDir(), "capture.pcap")
	if err := os.WriteFile(name, append(b, data...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
