//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// serve runs a service in the namespace that says yes to one address, no to one,
// nothing about one before the test ends, and yes to any other in a while.
func serve(t *testing.T, n *lab.Net) (url string, asked <-chan string) {
	t.Helper()
	ended, questions := make(chan bool), make(chan string, 100)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		questions <- r.FormValue("to")
		switch r.FormValue("to") {
		case "127.0.0.1:443":
		case "127.0.0.2:443":
			w.WriteHeader(http.StatusForbidden)
		case "127.0.0.3:443":
			<-ended
		default: // in a while
			time.Sleep(exampletest.Silence)
		}
	}))
	s.Listener.Close()
	l, err := n.Listen("tcp", "127.0.0.1:8080")
	testkit.Must(t, err)
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(ended) })
	return s.URL + "/", questions
}

func TestServiceDecidesOnConnections(t *testing.T) {
	n := exampletest.Net(t)
	url, _ := serve(t, n)
	p := exampletest.Start(t, n, "-service", url, "-deadline", "10s")
	for _, address := range []string{"127.0.0.1:443", "127.0.0.2:443"} {
		exampletest.Echo(t, n, address)
	}
	if got, err := exampletest.Ask(n, "127.0.0.1:443", "hello", testkit.Patience); err != nil || got != "hello" {
		t.Errorf("the allowed one answers %q, %v; the log: %s", got, err, p.Log())
	}
	if got, err := exampletest.Ask(n, "127.0.0.2:443", "hello", exampletest.Silence); err == nil {
		t.Errorf("the forbidden one answers %q", got)
	}
}

func TestPacketsWithoutAnAnswerGetTheFallback(t *testing.T) {
	n := exampletest.Net(t)
	url, _ := serve(t, n)
	exampletest.Start(t, n, "-service", url, "-deadline", "50ms", "-late", "accept")
	exampletest.Echo(t, n, "127.0.0.3:443")
	if got, err := exampletest.Ask(n, "127.0.0.3:443", "hello", testkit.Patience); err != nil || got != "hello" {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestPacketThatIsHeldWhenTheProgramEndsGetsItsAnswer(t *testing.T) {
	n := exampletest.Net(t)
	exampletest.Echo(t, n, "127.0.0.4:443")
	url, asked := serve(t, n)
	p := exampletest.Start(t, n, "-service", url, "-deadline", "10s")
	answered := make(chan error, 1)
	go func() {
		_, err := exampletest.Ask(n, "127.0.0.4:443", "hello", testkit.Patience)
		answered <- err
	}()
	<-asked
	p.Stop()
	// The rule has no bypass flag: had the first packet been dropped, those that TCP
	// sends in its place would be too.
	if err := <-answered; err != nil {
		t.Errorf("%v; the log: %s", err, p.Log())
	}
}
