package nflog

import "github.com/nfpacket/nfpacket/nfnl"

// Links returns a table of the interfaces in the network namespace of the Reader, for
// Packet.Named. It starts a goroutine, which runs until Links.Close. Reader.Close does
// not close it. See nfnl.Conn.Links for the privilege it needs.
func (r *Reader) Links() (*nfnl.Links, error) {
	r = r.orClosed()
	l, err := r.conn.Links()
	return (*nfnl.Links)(l), r.wrap(err)
}
