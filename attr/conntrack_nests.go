package attr

import "time"

// Counters are the packets and bytes of one direction of a connection. Bytes
// includes the IP headers.
type Counters struct {
	Packets, Bytes uint64
}

// counters decodes nested Counters: enum ctattr_counters.
func (d *Decoder) counters() (c Counters) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_COUNTERS_PACKETS
			c.Packets = in.Uint64()
		case 2: // CTA_COUNTERS_BYTES
			c.Bytes = in.Uint64()
		}
	}
	d.inherit(&in)
	return c
}

// SeqAdj is what the kernel adds to the TCP sequence numbers of one direction: the
// field Before up to Position, the field After beyond it. Both may be negative.
type SeqAdj struct {
	Position      uint32 // sequence number of the last change in length
	Before, After int32
}

// seqAdj decodes a nested SeqAdj: enum ctattr_seqadj.
func (d *Decoder) seqAdj() (s SeqAdj) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_SEQADJ_CORRECTION_POS
			s.Position = in.Uint32()
		case 2: // CTA_SEQADJ_OFFSET_BEFORE
			s.Before = int32(in.Uint32())
		case 3: // CTA_SEQADJ_OFFSET_AFTER
			s.After = int32(in.Uint32())
		}
	}
	d.inherit(&in)
	return s
}

// SynProxy is the state that a SYNPROXY rule keeps of the handshake that it
// completed in place of the server.
type SynProxy struct {
	ISN      uint32 // initial sequence number given to the client
	ITS      uint32 // initial TCP timestamp given to the client
	TSOffset uint32 // subtracted from the TCP timestamps of the server, and added to those that the client echoes
}

// synProxy decodes a nested SynProxy: enum ctattr_synproxy.
func (d *Decoder) synProxy() (s SynProxy) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_SYNPROXY_ISN
			s.ISN = in.Uint32()
		case 2: // CTA_SYNPROXY_ITS
			s.ITS = in.Uint32()
		case 3: // CTA_SYNPROXY_TSOFF
			s.TSOffset = in.Uint32()
		}
	}
	d.inherit(&in)
	return s
}

// startStop decodes a nested pair of times: enum ctattr_tstamp. The kernel
// leaves out a stop that is yet to come.
func (d *Decoder) startStop() (start, stop time.Time) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_TIMESTAMP_START
			start = in.nanoseconds()
		case 2: // CTA_TIMESTAMP_STOP
			stop = in.nanoseconds()
		}
	}
	d.inherit(&in)
	return start, stop
}

// nanoseconds decodes a time in nanoseconds since 1970. 0 is the zero Time: a
// connection has no start until its first packet has left, in
// __nf_conntrack_confirm.
func (d *Decoder) nanoseconds() time.Time {
	ns := d.Uint64()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns))
}

// help decodes the name of a helper and what a helper in user space keeps with
// the connection: enum ctattr_help.
func (d *Decoder) help() (name, info []byte) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_HELP_NAME
			name = in.CString()
		case 2: // CTA_HELP_INFO
			info = in.Bytes()
		}
	}
	d.inherit(&in)
	return name, info
}

// secCtx decodes a nested security context: enum ctattr_secctx.
func (d *Decoder) secCtx() (name []byte) {
	in := d.Nested()
	for in.Next() {
		if in.Type() == 1 { // CTA_SECCTX_NAME
			name = in.CString()
		}
	}
	d.inherit(&in)
	return name
}
