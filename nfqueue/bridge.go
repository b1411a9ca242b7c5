package nfqueue

import "github.com/nfpacket/nfpacket/attr"

// WithVLAN returns v with a VLAN tag for a packet of the bridge family. The kernel
// cannot remove a tag.
func (v Verdict) WithVLAN(tag attr.VLAN) Verdict {
	v.vlan, v.change = tag, v.change|changeVLAN
	return v
}

// WithLinkHeader returns v with a new link-layer header for a packet of the bridge
// family. It must be as long as Packet.LinkHeader. b is copied when the handler
// returns, or in Send or SetVerdict.
func (v Verdict) WithLinkHeader(b []byte) Verdict {
	v.linkHeader, v.change = b, v.change|changeLinkHeader
	return v
}
