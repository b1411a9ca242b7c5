package nfqueue

import "github.com/nfpacket/nfpacket/attr"

// WithVLAN returns v with a VLAN tag for a packet of the bridge family. The
// kernel cannot take a tag away.
func (v Verdict) WithVLAN(tag attr.VLAN) Verdict {
	v.vlan, v.change = tag, v.change|changeVLAN
	return v
}

// WithLinkHeader returns v with a new link-layer header for a packet of the
// bridge family, as long as Packet.LinkHeader. It is copied when the handler
// returns, or in Send or SetVerdict.
func (v Verdict) WithLinkHeader(b []byte) Verdict {
	v.linkHeader, v.change = b, v.change|changeLinkHeader
	return v
}
