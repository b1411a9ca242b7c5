package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

var update = flag.Bool("update", false, "write down what captured messages decode to")

// The files in testdata/captured are what real kernels sent and were sent, see
// nfnl_capture_test.go at the top of the module. Wireshark opens them. Netlink
// is in host byte order, so a machine reads those captured in its own.
func TestCapturedMessagesDecode(t *testing.T) {
	files, err := filepath.Glob("testdata/captured/*/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	decoded := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if binary.NativeEndian.Uint32(b) != pcapMagic {
			continue
		}
		decoded++
		t.Run(strings.TrimPrefix(file, "testdata/captured/"), func(t *testing.T) {
			golden := strings.TrimSuffix(file, ".pcap") + ".txt"
			got := decodeCaptured(t, b)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	if decoded == 0 {
		t.Errorf("nothing of %d files is in this machine's byte order", len(files))
	}
}

// decodeCaptured describes the packets in a file.
func decodeCaptured(t *testing.T, file []byte) string {
	var text strings.Builder
	for _, datagram := range readCaptured(t, file) {
		for len(datagram) > 0 {
			m, rest, err := nfnl.Next(datagram)
			if err != nil {
				t.Fatal(err)
			}
			datagram = rest
			if m.Type != 0x0300 {
				continue // configuration, an answer or a verdict
			}
			var p nfqueue.Packet
			if err := p.Decode(m); err != nil {
				t.Error(err)
			}
			text.WriteString("packet\n")
			describe(&text, "", reflect.ValueOf(p))
			if c, err := p.Conntrack(); err == nil {
				describe(&text, "connection: ", reflect.ValueOf(c))
			} else if err != nfqueue.ErrUntracked {
				t.Error(err)
			}
		}
	}
	return text.String()
}

const pcapMagic = 0xa1b2c3d4

// readCaptured returns the datagrams in a file of the format pcap, of link type
// NETLINK.
func readCaptured(t *testing.T, b []byte) (datagrams [][]byte) {
	t.Helper()
	const fileHeader, recordHeader, cookedHeader = 24, 16, 16
	const linkNetlink, netfilter = 253, 12
	if link := binary.NativeEndian.Uint32(b[20:]); link != linkNetlink {
		t.Fatalf("link type %d", link)
	}
	for b = b[fileHeader:]; len(b) > 0; {
		length := binary.NativeEndian.Uint32(b[8:])
		record := b[recordHeader : recordHeader+length]
		b = b[recordHeader+length:]
		if !bytes.Equal(record[14:cookedHeader], []byte{0, netfilter}) {
			t.Fatalf("not of netfilter: % x", record[:cookedHeader])
		}
		datagrams = append(datagrams, record[cookedHeader:])
	}
	return datagrams
}

// describe writes a line for each exported field of a struct that is not zero.
func describe(w *strings.Builder, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		name, field := prefix+v.Type().Field(i).Name, v.Field(i)
		if !v.Type().Field(i).IsExported() || field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0 {
			continue
		}
		switch value := field.Interface().(type) {
		case time.Time:
			fmt.Fprintf(w, "%s %s\n", name, value.UTC().Format(time.RFC3339Nano))
		case netip.AddrPort, fmt.Stringer:
			if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[netip.AddrPort]() {
				describe(w, name+".", field) // its text does not have all
				continue
			}
			fmt.Fprintf(w, "%s %v\n", name, value)
		case []byte:
			if text := strconv.Quote(string(value)); len(text) == len(value)+2 {
				fmt.Fprintf(w, "%s %s\n", name, text)
			} else {
				fmt.Fprintf(w, "%s %x\n", name, value)
			}
		default:
			switch field.Kind() {
			case reflect.Struct:
				describe(w, name+".", field)
			case reflect.Array:
				fmt.Fprintf(w, "%s %x\n", name, value)
			default:
				fmt.Fprintf(w, "%s %v\n", name, value)
			}
		}
	}
}
