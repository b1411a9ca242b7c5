//go:build linux

package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestNamesAreDroppedAndAnswersChanged(t *testing.T) {
	n := exampletest.Net(t)
	serve(t, n, "127.0.0.1:53")
	serve(t, n, "[::1]:53")
	exampletest.Start(t, n, "-drop", "bad.example", "-name", "old.example", "-a", "192.0.2.99", "-aaaa", "2001:db8::99")
	for _, server := range []string{"127.0.0.1:53", "[::1]:53"} {
		for name, want := range map[string]string{
			"good.example.":    "198.51.100.1 2001:db8:ffff::1",
			"bad.example.":     "",
			"x.Bad.example.":   "",
			"notbad.example.":  "198.51.100.1 2001:db8:ffff::1",
			"old.example.":     "192.0.2.99 2001:db8::99",
			"sub.old.example.": "198.51.100.1 2001:db8:ffff::1",
		} {
			if got := ask(t, n, server, name); got != want {
				t.Errorf("%s says of %s %q, want %q", server, name, got, want)
			}
		}
	}
}

// serve answers every query with the same addresses.
func serve(t *testing.T, n *lab.Net, address string) {
	t.Helper()
	c, err := n.ListenPacket("udp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			l, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:l]) != nil {
				continue
			}
			m.Response = true
			h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}
			m.Answers = []dnsmessage.Resource{
				{Header: h, Body: &dnsmessage.AResource{A: [4]byte{198, 51, 100, 1}}},
				{Header: h, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8:ffff::1").As16()}},
			}
			if answer, err := m.Pack(); err == nil {
				c.WriteTo(answer, from)
			}
		}
	}()
}

// ask returns the addresses in the answer, none if there is no answer.
func ask(t *testing.T, n *lab.Net, server, name string) string {
	t.Helper()
	c, err := n.Dial("udp", server)
	testkit.Must(t, err)
	defer c.Close()
	q := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	query, err := q.Pack()
	testkit.Must(t, err)
	_, err = c.Write(query)
	testkit.Must(t, err)
	wait := testkit.Patience
	if strings.HasSuffix(strings.ToLower("."+name), ".bad.example.") {
		wait = exampletest.Silence
	}
	c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 1500)
	l, err := c.Read(b)
	if err != nil {
		return ""
	}
	var m dnsmessage.Message
	testkit.Must(t, m.Unpack(b[:l]))
	var addresses []string
	for _, a := range m.Answers {
		switch r := a.Body.(type) {
		case *dnsmessage.AResource:
			addresses = append(addresses, netip.AddrFrom4(r.A).String())
		case *dnsmessage.AAAAResource:
			addresses = append(addresses, netip.AddrFrom16(r.AAAA).String())
		}
	}
	return strings.Join(addresses, " ")
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x00\x01\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := len(b)
		m := parse(b)
		m.setAddresses(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
		if len(m.rest) > before {
			t.Errorf("%d bytes of answers in a message of %d", len(m.rest), before)
		}
	})
}
