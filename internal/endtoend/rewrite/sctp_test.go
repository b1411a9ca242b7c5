//go:build linux

package rewrite

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// Connection tracking checks the CRC of SCTP, with or without a receiver.
func TestRewrittenSCTPIsValidToConnectionTracking(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		a, b, _, addrB := endtoend.NetPair(t, v)
		dropInvalid(t, b)
		network := map[lab.Family]string{lab.IPv4: "ip4:132", lab.IPv6: "ip6:132"}[v.Family]
		to, err := b.ListenPacket(network, addrB.String())
		testkit.Must(t, err)
		defer to.Close()
		from, err := a.Dial(network, addrB.String())
		testkit.Must(t, err)
		defer from.Close()
		q := endtoend.OpenQueue(t, a, nfqueue.Config{})
		endtoend.AddRule(t, a, v.Family, lab.Output, lab.L4(unix.IPPROTO_SCTP), lab.Queue(0))
		bodies := make(chan string, 1)
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := append(p.Payload[:v.Headers-8:v.Headers-8], sctpInit(<-bodies)...)
			if bytes.HasSuffix(b, []byte("wrong")) {
				return spoilt(t, b, 1)
			}
			return nfqueue.Accept().WithPayload(b)
		})
		for _, size := range []int{16, 17, 18, 19, 20, 1000, 1400} {
			for _, body := range []string{endtoend.Letters(size) + "wrong", endtoend.Letters(size)} {
				bodies <- body
				endtoend.Send(t, from, sctpInit(endtoend.Letters(16)))
			}
			got, want := endtoend.Receive(t, to), sctpInit(endtoend.Letters(size))
			if got[:8] != want[:8] || got[12:] != want[12:] {
				t.Errorf("received % x, want % x", got, want)
			}
		}
	})
}

// sctpInit returns an SCTP packet with an INIT chunk, and zeros for its CRC.
func sctpInit(body string) string {
	b := []byte{0x30, 0x39, 0x27, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(body)))
	return string(b) + body
}

// dropInvalid has n drop what comes in and makes no sense to connection tracking.
func dropInvalid(t *testing.T, n *lab.Net) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	testkit.Must(t, err)
	table := conn.AddTable(&nftables.Table{Name: "invalid", Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: unix.NFT_REG_1},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4,
			Mask: []byte(number(expr.CtStateBitINVALID)), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	testkit.Must(t, conn.Flush())
}

const sctpData = 0 // the type of a chunk

// The CRC of a local SCTP sender is pending when the packet is queued.
func TestRewrittenSCTPIsReceived(t *testing.T) {
	endtoend.NeedRewriting(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		n := endtoend.NewNet(t)
		l := socket(t, n, v, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		for _, timeout := range []string{"rto_min", "rto_initial"} { // until what is lost is sent again
			testkit.Must(t, n.Sysctl("net/sctp/"+timeout, "10"))
		}
		c := socket(t, n, v, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		q := endtoend.OpenQueue(t, n, nfqueue.Config{})
		endtoend.AddRule(t, n, v.Family, lab.Output, lab.L4(unix.IPPROTO_SCTP), lab.Queue(0))
		times := 0
		endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
			chunk := p.Payload[v.Headers-8+12:]
			if chunk[0] == sctpData {
				if !p.ChecksumPending {
					t.Error("the CRC is not pending")
				}
				copy(chunk[16:], bytes.ToUpper(chunk[16:]))
				if times++; times == 1 {
					return spoilt(t, p.Payload, 1)
				}
			}
			return nfqueue.Accept().WithPayload(p.Payload)
		})
		testkit.Must(t, unix.Bind(int(l.Fd()), sockaddr(v)))
		testkit.Must(t, unix.Listen(int(l.Fd()), 1))
		testkit.Must(t, unix.Connect(int(c.Fd()), sockaddr(v)))
		fd, _, err := unix.Accept(int(l.Fd()))
		testkit.Must(t, err)
		defer unix.Close(fd)
		_, err = unix.Write(int(c.Fd()), []byte("a message"))
		testkit.Must(t, err)
		b := make([]byte, 64)
		size, err := unix.Read(fd, b)
		testkit.Must(t, err)
		if got := string(b[:size]); got != "A MESSAGE" {
			t.Errorf("received %q", got)
		}
		counters, err := endtoend.ProcNet(n, "sctp/snmp")
		testkit.Must(t, err)
		fields := strings.Fields(string(counters))
		if i := slices.Index(fields, "SctpChecksumErrors"); i < 0 || fields[i+1] != "1" {
			t.Errorf("want 1 wrong checksum:\n%s", counters)
		}
	})
}
