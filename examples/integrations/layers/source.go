package layers

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Source reads logged packets for a gopacket.PacketSource:
//
//	source := layers.NewSource(ctx, reader)
//	defer source.Close()
//	for packet := range gopacket.NewPacketSource(source, layers.Network).Packets() {
//		logged := packet.Metadata().AncillaryData[0].(*nflog.Packet)
//		...
//
// Queued packets have no such source: who reads one owes it a verdict, for which
// there is nfqueue's handler. Use a Parser in it.
type Source struct {
	next func() (*nflog.Packet, error, bool)
	stop func()
}

// Network is the decoder for packets that begin with an IPv4 or IPv6 header.
var Network gopacket.Decoder = layers.LinkTypeRaw

// NewSource returns a source of what r reads, until ctx is done or r is closed:
// both are io.EOF.
func NewSource(ctx context.Context, r *nflog.Reader) *Source {
	next, stop := iter.Pull2(r.Packets(ctx))
	return &Source{next, stop}
}

// ReadPacketData implements gopacket.PacketDataSource. The first of the
// AncillaryData is the *nflog.Packet; the data are its Payload, both the caller's.
func (s *Source) ReadPacketData() (data []byte, info gopacket.CaptureInfo, err error) {
	p, err := s.read()
	if err != nil {
		return nil, info, err
	}
	p = p.Clone()
	info = captured(p)
	info.AncillaryData = []any{p}
	return p.Payload, info, nil
}

// ZeroCopyReadPacketData implements gopacket.ZeroCopyPacketDataSource: the data are
// valid until the next call. There are no AncillaryData.
func (s *Source) ZeroCopyReadPacketData() (data []byte, info gopacket.CaptureInfo, err error) {
	p, err := s.read()
	if err != nil {
		return nil, info, err
	}
	return p.Payload, captured(p), nil
}

// Close ends the source. The Reader stays open.
func (s *Source) Close() { s.stop() }

// read returns the next packet.
func (s *Source) read() (*nflog.Packet, error) {
	p, err, ok := s.next()
	switch {
	case !ok, errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil, io.EOF
	case err != nil:
		return nil, err
	}
	return p, nil
}

// captured describes a packet.
func captured(p *nflog.Packet) gopacket.CaptureInfo {
	info := gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: len(p.Payload), Length: len(p.Payload), InterfaceIndex: p.InDev}
	if slices.Contains([]nfnl.Hook{nfnl.Output, nfnl.Postrouting, nfnl.Egress}, p.Hook) {
		info.InterfaceIndex = p.OutDev
	}
	if flow, ok := nfnl.ParseFlow(p.Payload); ok { // the kernel does not say how long it was
		info.Length = max(info.Length, flow.Length)
	}
	return info
}
