package nflog

import "github.com/nfpacket/nfpacket/nfnl"

// Links returns a table of the interfaces in the Reader's network namespace, for
// Packet.Named. It costs a goroutine until its own Close, which that of the
// Reader does not call. See nfnl.Conn.Links for the privilege it needs.
func (r *Reader) Links() (*nfnl.Links, error) {
	r = r.orClosed()
	l, err := r.conn.Links()
	return l, r.wrap(err)
}
