//go:build linux

package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// TestPacketsNameTheirInterfaces has packets come in by a device whose name
// only its own namespace knows, and then has another.
func TestPacketsNameTheirInterfaces(t *testing.T) {
	a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
	endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 1), lab.Queue(7))
	r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}})
	q := endtoend.OpenQueue(t, b, nfqueue.Config{Queue: 7})
	var tables []*nfnl.Links
	for _, open := range []func() (*nfnl.Links, error){r.Links, q.Links} {
		l, err := open()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("no way into the socket's namespace:", err)
		}
		testkit.Must(t, err)
		defer l.Close()
		tables = append(tables, l)
	}
	ofQueue := make(chan string, 1)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		ofQueue <- fmt.Sprint(p.Named(tables[1]))
		return nfqueue.Accept()
	})
	c, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "x")
	if s := fmt.Sprint(endtoend.NextLogged(t, r, 1)[0].Named(tables[0])); !strings.Contains(s, "ip input, in eth0, udp ") {
		t.Errorf("logged: %s", s)
	}
	if s := testkit.Next(t, ofQueue); !strings.Contains(s, "ip input, in eth0, udp ") {
		t.Errorf("queued: %s", s)
	}
}

func TestLinksOfAClosedSocket(t *testing.T) {
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}})
	testkit.Must(t, r.Close())
	if _, err := r.Links(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "nflog 5") {
		t.Errorf("error %v", err)
	}
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
	testkit.Must(t, q.Close())
	if _, err := q.Links(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "nfqueue 7") {
		t.Errorf("error %v", err)
	}
}

// Whoever may rename a device of the namespace that is watched does not write to
// the terminal of whoever watches.
func TestOddNamesOfInterfacesAreShownQuoted(t *testing.T) {
	for _, name := range []string{"\x1b]0;pwn\a\x1b[2J", "\xff\xfeeth0", "e,mark0x7\u202e"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			a, b, _, addr := endtoend.NetPair(t, endtoend.IPv4)
			endtoend.AddRule(t, b, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(5, "", 0, 1), lab.Queue(7))
			r := endtoend.OpenLog(t, b, nflog.Config{Groups: []uint16{5}})
			q := endtoend.OpenQueue(t, b, nfqueue.Config{Queue: 7})
			testkit.Must(t, b.Down("eth0")) // kernels before 6.2 want that
			testkit.Must(t, b.Rename("eth0", name))
			testkit.Must(t, b.Up(name))
			l, err := r.Links()
			if errors.Is(err, os.ErrPermission) {
				t.Skip("no way into the socket's namespace:", err)
			}
			testkit.Must(t, err)
			defer l.Close()
			ofQueue := make(chan []string, 1)
			endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				ofQueue <- shown(t, p.Named(l))
				return nfqueue.Accept()
			})
			c, err := a.Dial("udp", net.JoinHostPort(addr.String(), "9999"))
			testkit.Must(t, err)
			defer c.Close()
			endtoend.Send(t, c, "x")
			for _, s := range append(shown(t, endtoend.NextLogged(t, r, 1)[0].Named(l)), testkit.Next(t, ofQueue)...) {
				if strings.ContainsAny(s, "\x1b\a\u202e") || !utf8.ValidString(s) || !strings.Contains(s, "in") {
					t.Errorf("shown as %q", s)
				}
			}
		})
	}
}

// shown returns how p is shown: as text, by slog and as JSON.
func shown(t *testing.T, p any) []string {
	t.Helper()
	var text bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("", "packet", p)
	object, err := json.Marshal(p)
	testkit.Must(t, err)
	return []string{fmt.Sprint(p), strings.TrimSpace(text.String()), string(object)}
}
