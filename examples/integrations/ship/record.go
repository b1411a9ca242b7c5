package main

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Record is one logged packet as it is shipped: a line of JSON in NATS. The keys
// are OpenTelemetry's where it has a name for the thing.
type Record struct {
	// ID is that of no other record, of any host and any time, and the same
	// whenever this one is sent again.
	ID   string    `json:"log.record.uid"`
	Time time.Time `json:"time"`
	Host string    `json:"host.name"`

	// Lost is how many packets were logged right before this one and never
	// shipped: for want of room in the kernel, or in the ring.
	Lost uint64 `json:"lost_before,omitempty"`

	// Number counts the packets that this host has logged to the group, lost ones
	// included: from one record to the next it grows by Lost and one.
	Number uint64 `json:"nflog.number"`

	Group   uint16 `json:"nflog.group"`
	Seq     uint32 `json:"nflog.seq"`
	Prefix  string `json:"nflog.prefix,omitempty"`
	Hook    string `json:"nflog.hook"`
	In      string `json:"network.interface.in,omitempty"`
	Out     string `json:"network.interface.out,omitempty"`
	Mark    uint32 `json:"nflog.mark,omitempty"`
	UID     *int64 `json:"user.id,omitempty"`
	Proto   string `json:"network.transport,omitempty"`
	Src     string `json:"source.address,omitempty"`
	SrcPort uint16 `json:"source.port,omitempty"`
	Dst     string `json:"destination.address,omitempty"`
	DstPort uint16 `json:"destination.port,omitempty"`
	Length  int    `json:"packet.length"`
}

// An Origin is where records come from: a host, and one time that the groups were
// bound on it, for sequence numbers begin anew with each.
type Origin struct {
	Host  string
	Bound string // part of the IDs
}

// newOrigin returns the origin of groups that are bound now.
func newOrigin() (Origin, error) {
	host, err := os.Hostname()
	if err != nil {
		return Origin{}, err
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // it is the time that counts where there is none
	bound := strconv.FormatInt(time.Now().UnixNano(), 36)
	if id, _, ok := strings.Cut(string(boot), "-"); ok {
		bound = id + "-" + bound
	}
	return Origin{Host: host, Bound: bound}, nil
}

// record returns the record of a packet.
func (o Origin) record(p *nflog.Packet, links *nfnl.Links) Record {
	r := Record{
		ID:   strings.Join([]string{o.Host, o.Bound, strconv.Itoa(int(p.Group)), strconv.FormatUint(uint64(p.Seq), 10)}, "/"),
		Time: p.Time, Host: o.Host,
		Group: p.Group, Seq: p.Seq, Prefix: string(p.Prefix), Hook: p.Hook.String(),
		In: links.Name(p.InDev), Out: links.Name(p.OutDev), Mark: p.Mark, Length: len(p.Payload),
	}
	if p.HasOwner {
		uid := int64(p.UID)
		r.UID = &uid
	}
	if flow, ok := nfnl.ParseFlow(p.Payload); ok {
		r.Proto, r.Length = flow.ProtocolName(), max(flow.Length, len(p.Payload))
		r.Src, r.SrcPort = split(flow.Src)
		r.Dst, r.DstPort = split(flow.Dst)
	}
	return r
}

// split returns an address as text, and its port.
func split(a netip.AddrPort) (string, uint16) { return a.Addr().String(), a.Port() }

// blocks returns a function that names blocks.
func (o Origin) blocks() func() string {
	n := 0
	return func() string { n++; return o.Host + "/" + o.Bound + "/" + strconv.Itoa(n) }
}

// losses adds up packets that the kernel lost, for the next record.
type losses struct{ n atomic.Uint64 }

// add is a nflog.Config's OnError.
func (l *losses) add(err error) {
	if o := (*nfnl.OverrunError)(nil); errors.As(err, &o) {
		l.n.Add(o.Lost)
	}
}

// take returns what was lost since it was asked last.
func (l *losses) take() uint64 {
	if l.n.Load() == 0 {
		return 0
	}
	return l.n.Swap(0)
}
