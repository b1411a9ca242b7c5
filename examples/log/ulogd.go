package main

import (
	"encoding/binary"
	"net"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A record has the keys and values that ulogd2 writes for a packet with its stack
// NFLOG, BASE, IFINDEX, IP2STR, HWHDR, JSON. Fragments other than the first have no
// ports here; ulogd2 reads theirs from what is not a header.
type record map[string]any

func ulogd(p *nflog.Packet, links *nfnl.Links) record {
	r := record{
		"timestamp": p.Time.Local().Format("2006-01-02T15:04:05.000000"), "dvc": "Netfilter",
		"raw.pktlen": len(p.Payload), "raw.pktcount": 1, "raw.label": 0,
		"oob.prefix": string(p.Prefix), "oob.mark": p.Mark, "oob.hook": p.Hook, "oob.family": p.Family, "oob.protocol": p.Proto,
		"oob.time.sec": p.Time.Unix(), "oob.time.usec": p.Time.Nanosecond() / 1000,
		"oob.in": links.Name(p.InDev), "oob.out": links.Name(p.OutDev),
	}
	if p.InDev != 0 {
		r["oob.ifindex_in"] = p.InDev
	}
	if p.OutDev != 0 {
		r["oob.ifindex_out"] = p.OutDev
	}
	if p.HasOwner {
		r["oob.uid"], r["oob.gid"] = p.UID, p.GID
	}
	r.link(p)
	if flow, ok := nfnl.ParseFlow(p.Payload); ok {
		r["src_ip"], r["dest_ip"] = flow.Src.Addr(), flow.Dst.Addr()
		r["ip.protocol"] = flow.Protocol
		r.network(flow, p.Payload)
		if flow.TransportOffset > 0 {
			r.transport(flow, p.Payload[flow.TransportOffset:])
		}
	}
	return r
}

// link adds what is known of the link layer.
func (r record) link(p *nflog.Packet) {
	if len(p.HardwareAddr) > 0 {
		r["raw.mac.addrlen"] = len(p.HardwareAddr)
		r["mac.saddr.str"] = p.HardwareAddr.String()
	}
	if h := p.HardwareHeader; len(h) > 0 {
		r["raw.type"], r["raw.mac_len"] = p.HardwareType, p.HardwareLen
		r["mac.str"] = net.HardwareAddr(h).String()
		if p.HardwareType == 1 && len(h) >= 14 { // ARPHRD_ETHER
			r["mac.daddr.str"] = net.HardwareAddr(h[:6]).String()
		}
	}
}

// network adds the fields of the IP header, which ParseFlow has found whole.
func (r record) network(flow nfnl.Flow, b []byte) {
	if b[0]>>4 == 4 {
		r["ip.tos"], r["ip.ttl"], r["ip.ihl"] = b[1], b[8], b[0]&0xf
		r["ip.totlen"], r["ip.id"] = u16(b[2:]), u16(b[4:])
		r["ip.fragoff"], r["ip.csum"] = u16(b[6:]), u16(b[10:])
		return
	}
	first := binary.BigEndian.Uint32(b)
	r["ip6.priority"], r["ip6.flowlabel"] = first>>20&0xff, first&0xfffff
	r["ip6.payloadlen"], r["ip6.hoplimit"] = u16(b[4:]), b[7]
	r["ip6.nexthdr"] = flow.Protocol // of the last extension header, in ulogd
}

// transport adds the fields of a TCP, UDP or ICMP header, if it is whole.
func (r record) transport(flow nfnl.Flow, b []byte) {
	switch {
	case flow.Protocol == 6 && len(b) >= 20:
		r.ports(flow)
		r["tcp.seq"], r["tcp.ackseq"] = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		r["tcp.window"], r["tcp.csum"] = u16(b[14:]), u16(b[16:])
		for i, flag := range []string{"fin", "syn", "rst", "psh", "ack", "urg"} {
			r["tcp."+flag] = b[13] >> i & 1
		}
		if b[13]&0x20 != 0 {
			r["tcp.urgp"] = u16(b[18:])
		}
		for _, always0 := range []string{"offset", "reserved", "res1", "res2"} { // in ulogd
			r["tcp."+always0] = 0
		}
	case flow.Protocol == 17 && len(b) >= 8:
		r.ports(flow)
		r["udp.len"], r["udp.csum"] = u16(b[4:]), u16(b[6:])
	case flow.Protocol == 1 && len(b) >= 8:
		r.icmp("icmp.", b, 8, 0)
	case flow.Protocol == 58 && len(b) >= 8:
		r.icmp("icmpv6.", b, 128, 129)
	}
}

func (r record) ports(flow nfnl.Flow) {
	r["src_port"], r["dest_port"] = flow.Src.Port(), flow.Dst.Port()
}

// icmp adds the fields of ICMP or ICMPv6, of which echo requests and replies have
// more. The checksum is the one number that ulogd2 leaves in the wrong byte order.
func (r record) icmp(prefix string, b []byte, request, reply byte) {
	r[prefix+"type"], r[prefix+"code"], r[prefix+"csum"] = b[0], b[1], binary.NativeEndian.Uint16(b[2:])
	if b[0] == request || b[0] == reply {
		r[prefix+"echoid"], r[prefix+"echoseq"] = u16(b[4:]), u16(b[6:])
	}
}

func u16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
