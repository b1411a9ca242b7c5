package capfile

import (
	"bytes"
	"testing"
)

// What the header of each link type says.
func TestNetwork(t *testing.T) {
	ip := []byte{0x45, 0, 0, 20}
	mac := []byte{2, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		r    Record
		want Network
	}{
		"RAW, IPv4": {Record{Link: LinkRaw, Data: ip, Length: 20}, Network{Proto: 0x0800, Payload: ip, Length: 20}},
		"RAW, IPv6": {Record{Link: LinkRaw, Data: []byte{0x60}}, Network{Proto: 0x86dd, Payload: []byte{0x60}, Length: 1}},
		"Ethernet": {
			Record{Link: LinkEthernet, Data: append(append([]byte{2, 0, 0, 0, 0, 2}, mac...), append([]byte{8, 0}, ip...)...)},
			Network{Proto: 0x0800, Payload: ip, Length: 4, Addr: mac},
		},
		"LINUX_SLL": {
			Record{Link: LinkSLL, Data: append([]byte{0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0}, ip...)},
			Network{Proto: 0x0800, Payload: ip, Length: 4, Addr: mac, Outbound: true},
		},
		"LINUX_SLL2": {
			Record{Link: LinkSLL2, Data: append([]byte{8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ip...), Length: 100},
			Network{Proto: 0x0800, Payload: ip, Length: 80, Index: 3, Addr: mac, Outbound: true},
		},
	} {
		got, ok := c.r.Network()
		if !ok || got.Proto != c.want.Proto || !bytes.Equal(got.Payload, c.want.Payload) || got.Length != c.want.Length ||
			got.Outbound != c.want.Outbound || got.Index != c.want.Index || !bytes.Equal(got.Addr, c.want.Addr) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, ok, c.want)
		}
		for n := range len(c.r.Data) - len(c.want.Payload) {
			cut := c.r
			cut.Data = cut.Data[:n]
			if got, ok := cut.Network(); ok {
				t.Errorf("%s of %d bytes: got %+v", name, n, got)
			}
		}
	}
	if _, ok := (Record{Link: LinkNetlink, Data: make([]byte, 100)}).Network(); ok {
		t.Error("netlink has no packet of a network")
	}
}
