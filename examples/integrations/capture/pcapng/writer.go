package pcapng

import (
	"io"
	"sync"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Link is the link-layer type of a file.
type Link layers.LinkType

// The link types. Every tool reads SLL2: a header with the interface, the direction
// and the sender's link-layer address, then the packet. Of NFLOG tcpdump shows the
// packet and Wireshark all that the kernel logged with it. Netlink is for Wireshark
// alone: all that goes to the kernel and comes from it, verdicts too.
const (
	SLL2    Link = 276
	NFLOG   Link = 239
	Netlink Link = 253
)

// maxComment is how long a comment may be: pcapng gives its length 16 bits, and
// the writer does not check it.
const maxComment = 65535

// A Writer writes records as pcapng. It may be used by several goroutines. Each
// record is handed to the output at once, for whoever reads a pipe is waiting.
type Writer struct {
	link Link
	next func() (io.WriteCloser, error)
	size int64

	mu         sync.Mutex
	out        io.WriteCloser
	ng         *pcapgo.NgWriter
	interfaces map[string]int
	written    int64
	err        error
}

// NewWriter returns a Writer to out, which Close closes.
func NewWriter(out io.WriteCloser, link Link) (*Writer, error) {
	w := &Writer{link: link}
	return w, w.begin(out)
}

// NewRotating returns a Writer to what next returns. Once size bytes are written to
// it, what next returns then takes its place.
func NewRotating(next func() (io.WriteCloser, error), size int64, link Link) (*Writer, error) {
	out, err := next()
	if err != nil {
		return nil, err
	}
	w := &Writer{link: link, next: next, size: size}
	return w, w.begin(out)
}

// begin begins a file: a section, and as the format's writer has it an interface.
func (w *Writer) begin(out io.WriteCloser) error {
	w.out, w.written, w.interfaces = out, 0, map[string]int{"any": 0}
	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo.Application = "nfpacket"
	var err error
	if w.ng, err = pcapgo.NewNgWriterInterface(counting{w}, w.device("any"), options); err != nil {
		return err
	}
	return w.ng.Flush()
}

// device describes an interface.
func (w *Writer) device(name string) pcapgo.NgInterface {
	d := pcapgo.DefaultNgInterface
	d.Name, d.LinkType = name, layers.LinkType(w.link)
	return d
}

// Write writes a record. After an error every Write returns that, for the file
// may end in half a record.
func (w *Writer) Write(r Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.err = w.rotate(); w.err != nil {
		return w.err
	}
	w.err = w.write(r)
	return w.err
}

// rotate begins the next file if this one is full.
func (w *Writer) rotate() error {
	if w.next == nil || w.written < w.size {
		return nil
	}
	if err := w.out.Close(); err != nil {
		return err
	}
	out, err := w.next()
	if err != nil {
		return err
	}
	return w.begin(out)
}

// write writes a record to the file that is open.
func (w *Writer) write(r Record) error {
	index, known := w.interfaces[r.Interface]
	if !known {
		var err error
		if index, err = w.ng.AddInterface(w.device(r.Interface)); err != nil {
			return err
		}
		w.interfaces[r.Interface] = index
	}
	info := gopacket.CaptureInfo{
		Timestamp: r.Time, CaptureLength: len(r.Data), Length: max(r.Length, len(r.Data)), InterfaceIndex: index,
	}
	options := pcapgo.NgPacketOptions{PacketID: &r.ID, Queue: &r.Queue, Comments: cut(r.Comments)}
	if r.Direction != Unknown {
		options.Flags = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlag(r.Direction)}
	}
	if r.Lost != 0 {
		options.DropCount = &r.Lost
	}
	if err := w.ng.WritePacketWithOptions(info, r.Data, options); err != nil {
		return err
	}
	return w.ng.Flush()
}

// cut returns the comments, none longer than may be.
func cut(comments []string) []string {
	short := make([]string, len(comments))
	for i, c := range comments {
		short[i] = c[:min(len(c), maxComment)]
	}
	return short
}

// Close closes the output.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Close()
}

// counting writes to a Writer's output and counts the bytes.
type counting struct{ w *Writer }

func (c counting) Write(b []byte) (int, error) {
	n, err := c.w.out.Write(b)
	c.w.written += int64(n)
	return n, err
}
