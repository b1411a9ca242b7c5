package attr_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
)

func TestConntrackNames(t *testing.T) {
	tests := []struct {
		value fmt.Stringer
		want  string
	}{
		{attr.InfoEstablished, "established"},
		{attr.InfoRelated, "related"},
		{attr.InfoNew, "new"},
		{attr.InfoEstablishedReply, "established reply"},
		{attr.InfoRelatedReply, "related reply"},
		{attr.InfoUntracked, "untracked"},
		{attr.ConntrackInfo(5), "info 5"},
		{attr.ConntrackStatus(0), "0x0"},
		{attr.StatusExpected, "expected"},
		{attr.StatusHardwareOffload, "hw-offload"},
		{attr.StatusSeenReply | attr.StatusAssured | attr.StatusConfirmed, "seen-reply,assured,confirmed"},
		{attr.StatusConfirmed | 1<<31, "confirmed,0x80000000"},
		{attr.TCPState(0), "NONE"},
		{attr.TCPSynSent2, "SYN_SENT2"},
		{attr.TCPState(10), "state 10"},
		{attr.SCTPState(0), "NONE"},
		{attr.SCTPHeartbeatAcked, "HEARTBEAT_ACKED"},
		{attr.SCTPState(10), "state 10"},
		{attr.DCCPState(0), "NONE"},
		{attr.TCPFlags(0), "0x0"},
		{attr.TCPFlags(3), "window-scale,sack"},
		{attr.TCPFlags(0x80), "simultaneous-open"},
		{attr.DCCPTimeWait, "TIMEWAIT"},
		{attr.DCCPState(8), "state 8"},
		{tuple(6, "192.0.2.1:4660", "192.0.2.2:80"), "6 192.0.2.1:4660 > 192.0.2.2:80"},
		{tuple(17, "[2001:db8::1]:1", "[2001:db8::2]:53"), "17 [2001:db8::1]:1 > [2001:db8::2]:53"},
	}
	for _, tt := range tests {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestConntrackLabels(t *testing.T) {
	for n := range 128 {
		var l attr.ConntrackLabels
		l.Set(n)
		for i := -1; i <= 128; i++ {
			if l.Has(i) != (i == n) {
				t.Errorf("with %d set, %d is %t", n, i, l.Has(i))
			}
		}
		if want := labelWords(t, fmt.Sprint(n)); string(l[:]) != string(want) {
			t.Errorf("%d: got % x, want % x", n, l, want)
		}
	}
}

func ExampleConntrack() {
	b := appendTuple(nil, 1, "192.0.2.1:4660", "192.0.2.2:80")
	b = attr.AppendUint32(b, 3, uint32(attr.StatusSeenReply|attr.StatusConfirmed))

	var c attr.Conntrack
	if err := c.Decode(b); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Original.Src, "to", c.Original.Dst.Port())
	fmt.Println(c.Status)
	// Output:
	// 192.0.2.1:4660 to 80
	// seen-reply,confirmed
}

// appendTuple appends a TCP connection's direction as the kernel would.
func appendTuple(b []byte, typ uint16, from, to string) []byte {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	start := len(b)
	b = attr.BeginNested(b, typ)
	ip := len(b)
	b = attr.BeginNested(b, 1)
	b = attr.AppendBytes(b, 1, src.Addr().AsSlice())
	b = attr.AppendBytes(b, 2, dst.Addr().AsSlice())
	b = attr.EndNested(b, ip)
	proto := len(b)
	b = attr.BeginNested(b, 2)
	b = attr.AppendUint8(b, 1, 6)
	b = attr.AppendUint16(b, 2, src.Port())
	b = attr.AppendUint16(b, 3, dst.Port())
	b = attr.EndNested(b, proto)
	return attr.EndNested(b, start)
}
