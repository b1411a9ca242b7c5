//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

func TestHandshakeSucceedsInTwoSegments(t *testing.T) {
	for _, address := range []string{"127.0.0.1:443", "[::1]:443"} {
		t.Run(address, func(t *testing.T) {
			n := exampletest.Net(t)
			testkit.Must(t, n.SetMTU("lo", 1500))
			p := exampletest.Start(t, n, "-at", "7")
			later, err := n.Chain(lab.Inet, lab.Output, 10)
			testkit.Must(t, err)
			own, err := later.Add(lab.TCP(443), lab.Mark(ownMark))
			testkit.Must(t, err)

			if body := get(t, n, address); body != "hello" {
				t.Errorf("the server says %q; the log: %s", body, p.Log())
			}
			if sent, err := own.Packets(); err != nil || sent != 2 {
				t.Errorf("%d segments were sent in place of the one, %v; the log: %s", sent, err, p.Log())
			}
		})
	}
}

// get asks a server at address, over TLS.
func get(t *testing.T, n *lab.Net, address string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	s.Listener.Close()
	l, err := n.Listen("tcp", address)
	testkit.Must(t, err)
	s.Listener = l
	s.StartTLS()
	t.Cleanup(s.Close)
	client := s.Client()
	client.Timeout = testkit.Patience
	client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return n.Dial("tcp", address)
	}
	reply, err := client.Get("https://example.com/")
	testkit.Must(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	testkit.Must(t, err)
	return string(body)
}
