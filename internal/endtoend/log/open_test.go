//go:build linux

package log

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestGroupOfAnotherSocketIsTaken(t *testing.T) {
	n := endtoend.NewNet(t)
	first := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{6}})
	cfg := nflog.Config{Groups: []uint16{5, 6}, Socket: nfnl.Config{NetNS: n.FD()}}
	_, err := nflog.Open(cfg)
	if !errors.Is(err, nflog.ErrTaken) || errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "group 6") {
		t.Errorf("second Open: %v, want ErrTaken and not os.ErrPermission, for group 6", err)
	}
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}})                  // unbound by then
	endtoend.OpenLog(t, endtoend.NewNet(t), nflog.Config{Groups: []uint16{6}}) // another namespace
	testkit.Must(t, first.Close())
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{6}}) // free again
}

func TestFailedOpenConnGivesGroupsBack(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{6}})
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer conn.Close()
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}}); !errors.Is(err, nflog.ErrTaken) {
		t.Errorf("OpenConn: %v, want ErrTaken", err)
	}
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}})
}

func TestGroupOfTheConnectionIsAdopted(t *testing.T) {
	var reported testkit.Errors
	n := endtoend.NewNet(t)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	bind, err := nflog.Config{Threshold: 1}.Bind(5)
	testkit.Must(t, err)
	testkit.Must(t, conn.Request(bind))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, from, "0", "1", "2")
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}, CopyRange: 29, OnError: reported.Add})
	testkit.Must(t, err)
	defer r.Close()
	endtoend.Send(t, from, "3xx")
	got := endtoend.NextLogged(t, r, 4)
	endtoend.IPv4.WantNumbers(t, got, 0, 4)
	if s := r.Stats(); s.Lost != 0 || len(reported.All()) != 0 {
		t.Errorf("stats %+v, OnError was called with %v", s, reported.All())
	}
}

func TestLogWithoutTheCapability(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1})
	err := endtoend.WithoutNetAdmin(t, l.Net, func() error {
		_, err := nflog.Open(nflog.Config{Groups: []uint16{6}})
		return err
	})
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, nflog.ErrTaken) || !strings.Contains(fmt.Sprint(err), "CAP_NET_ADMIN") {
		t.Errorf("error %v, want os.ErrPermission that names the capability", err)
	}

	// Reading needs none, and a loop that may not unbind leaves the group bound.
	for i := range 3 {
		endtoend.SendNumbers(t, l.From, i, 1)
		var got []*nflog.Packet
		err = endtoend.WithoutNetAdmin(t, l.Net, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
			defer cancel()
			for p, err := range l.Reader.Packets(ctx) {
				if err != nil {
					return err
				}
				got = append(got, p.Clone())
				cancel()
			}
			return nil
		})
		testkit.WantError(t, "loop", err, context.Canceled)
		endtoend.IPv4.WantNumbers(t, got, i, 1)
		if len(got) == 1 && got[0].Seq != uint32(i) {
			t.Errorf("number %d, want %d", got[0].Seq, i)
		}
	}
}
