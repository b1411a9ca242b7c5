//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestRulesAreThoseOfTheComment(t *testing.T) { exampletest.CheckRules(t) }

// Packets are shown with the names of their interfaces, the last before SIGTERM
// too.
func TestEveryLoggedPacketIsShown(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Run(t, n)
	out, err := n.Chain(lab.IPv4, lab.Output, 0)
	exampletest.Must(t, err)
	_, err = out.Add(lab.UDP(9999), lab.Log(5, "connect: ", 0, 0))
	exampletest.Must(t, err)
	_, from := exampletest.UDP(t, n, "127.0.0.1:9999")
	exampletest.Send(t, from, "the first, which shows that the loop has begun")
	for end := time.Now().Add(exampletest.Patience); !strings.Contains(p.Log(), "packet.seq=0 "); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the first is not shown: %s", p.Log())
		}
	}
	exampletest.Send(t, from, exampletest.Numbers(49)...)
	p.Stop()
	for i := range 50 {
		if want := fmt.Sprintf(`packet.seq=%d `, i); !strings.Contains(p.Log(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if want := `packet.prefix="connect: " packet.family=ip packet.hook=output packet.out=lo packet.out_index=1 packet.proto=udp`; !strings.Contains(p.Log(), want) {
		t.Errorf("the log lacks %q: %s", want, p.Log())
	}
}

func TestConnectionsAreShownByTheProgramsOwnRules(t *testing.T) {
	n := exampletest.Net(t)
	p := exampletest.Start(t, n)
	exampletest.Echo(t, n, "127.0.0.1:80")
	if _, err := exampletest.Ask(n, "127.0.0.1:80", "hello", exampletest.Patience); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if got := strings.Count(p.Log(), `packet.prefix="connect: "`); got != 1 {
		t.Errorf("%d packets of one connection are shown: %s", got, p.Log())
	}
}
