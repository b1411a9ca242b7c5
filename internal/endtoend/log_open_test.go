//go:build linux

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestGroupOfAnotherSocketIsTaken(t *testing.T) {
	n := newNet(t)
	first := openLog(t, n, nflog.Config{Groups: []uint16{6}})
	cfg := nflog.Config{Groups: []uint16{5, 6}, Socket: nfnl.Config{NetNS: n.FD()}}
	_, err := nflog.Open(cfg)
	if !errors.Is(err, nflog.ErrTaken) || errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "group 6") {
		t.Errorf("second Open: %v, want ErrTaken and not os.ErrPermission, for group 6", err)
	}
	openLog(t, n, nflog.Config{Groups: []uint16{5}})         // given back
	openLog(t, newNet(t), nflog.Config{Groups: []uint16{6}}) // another namespace
	must(t, first.Close())
	openLog(t, n, nflog.Config{Groups: []uint16{6}}) // free again
}

func TestFailedOpenConnGivesGroupsBack(t *testing.T) {
	n := newNet(t)
	openLog(t, n, nflog.Config{Groups: []uint16{6}})
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	defer conn.Close()
	if _, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5, 6}}); !errors.Is(err, nflog.ErrTaken) {
		t.Errorf("OpenConn: %v, want ErrTaken", err)
	}
	openLog(t, n, nflog.Config{Groups: []uint16{5}})
}

func TestGroupOfTheConnectionIsAdopted(t *testing.T) {
	var told collector
	n := newNet(t)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 0))
	conn, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	bind, err := nflog.Config{Threshold: 1}.Bind(5)
	must(t, err)
	must(t, conn.Request(bind))
	_, from := udpPair(t, n, "udp", ipv4.address())
	send(t, from, "0", "1", "2")
	r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}, CopyRange: 29, OnError: told.add})
	must(t, err)
	defer r.Close()
	send(t, from, "3xx")
	got := logged(t, r, 4)
	ipv4.wantNumbers(t, got, 0, 4)
	if s := r.Stats(); s.Lost != 0 || len(told.errs) != 0 {
		t.Errorf("stats %+v, OnError was told %v", s, told.errs)
	}
}

func TestLogWithoutTheCapability(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	err := withoutNetAdmin(t, l.net, func() error {
		_, err := nflog.Open(nflog.Config{Groups: []uint16{6}})
		return err
	})
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, nflog.ErrTaken) || !strings.Contains(fmt.Sprint(err), "CAP_NET_ADMIN") {
		t.Errorf("error %v, want os.ErrPermission that names the capability", err)
	}

	// Reading needs none, and a loop that may not unbind leaves the group bound.
	for i := range 3 {
		l.send(t, i, 1)
		var got []*nflog.Packet
		err = withoutNetAdmin(t, l.net, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for p, err := range l.reader.Packets(ctx) {
				if err != nil {
					return err
				}
				got = append(got, p.Clone())
				cancel()
			}
			return nil
		})
		wantError(t, "loop", err, context.Canceled)
		ipv4.wantNumbers(t, got, i, 1)
		if len(got) == 1 && got[0].Seq != uint32(i) {
			t.Errorf("number %d, want %d", got[0].Seq, i)
		}
	}
}
