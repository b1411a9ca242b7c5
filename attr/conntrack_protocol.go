package attr

import "strconv"

// The protocols in a nest of protocol information, enum ctattr_protoinfo of
// linux/netfilter/nfnetlink_conntrack.h.
const (
	protoInfoTCP  = 1 // CTA_PROTOINFO_TCP
	protoInfoDCCP = 2 // CTA_PROTOINFO_DCCP
	protoInfoSCTP = 3 // CTA_PROTOINFO_SCTP
)

// protoInfo decodes what connection tracking knows of one protocol into c.
func (d *Decoder) protoInfo(c *Conntrack) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case protoInfoTCP:
			c.TCP = in.tcpInfo()
		case protoInfoDCCP:
			c.DCCP = in.dccpInfo()
		case protoInfoSCTP:
			c.SCTP = in.sctpInfo()
		}
	}
	d.inherit(&in)
}

// TCPInfo is the state that connection tracking keeps for a TCP connection.
type TCPInfo struct {
	State TCPState

	// OriginalScale and ReplyScale are the window scales that the sender of each
	// direction has announced, in bits by which its window is shifted left.
	OriginalScale, ReplyScale uint8

	// OriginalFlags and ReplyFlags describe the sender of each direction.
	OriginalFlags, ReplyFlags TCPFlags
}

// tcpInfo decodes a nested TCPInfo: enum ctattr_protoinfo_tcp.
func (d *Decoder) tcpInfo() (t TCPInfo) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_PROTOINFO_TCP_STATE
			t.State = TCPState(in.Uint8())
		case 2: // CTA_PROTOINFO_TCP_WSCALE_ORIGINAL
			t.OriginalScale = in.Uint8()
		case 3: // CTA_PROTOINFO_TCP_WSCALE_REPLY
			t.ReplyScale = in.Uint8()
		case 4: // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL
			t.OriginalFlags = in.tcpFlags()
		case 5: // CTA_PROTOINFO_TCP_FLAGS_REPLY
			t.ReplyFlags = in.tcpFlags()
		}
	}
	d.inherit(&in)
	return t
}

// tcpFlags decodes struct nf_ct_tcp_flags: the flags, and a mask that only
// requests use (tcp_to_nlattr).
func (d *Decoder) tcpFlags() TCPFlags { return TCPFlags(d.Fixed(2)[0]) }

// TCPState is the state of a TCP connection in connection tracking. It may lag
// behind the states of the two ends.
type TCPState uint8

// The values of a TCPState: enum tcp_conntrack of
// linux/netfilter/nf_conntrack_tcp.h. 0 means that there is no state.
const (
	TCPSynSent     TCPState = 1 // TCP_CONNTRACK_SYN_SENT
	TCPSynRecv     TCPState = 2 // TCP_CONNTRACK_SYN_RECV
	TCPEstablished TCPState = 3 // TCP_CONNTRACK_ESTABLISHED
	TCPFinWait     TCPState = 4 // TCP_CONNTRACK_FIN_WAIT
	TCPCloseWait   TCPState = 5 // TCP_CONNTRACK_CLOSE_WAIT
	TCPLastAck     TCPState = 6 // TCP_CONNTRACK_LAST_ACK
	TCPTimeWait    TCPState = 7 // TCP_CONNTRACK_TIME_WAIT
	TCPClose       TCPState = 8 // TCP_CONNTRACK_CLOSE
	TCPSynSent2    TCPState = 9 // TCP_CONNTRACK_SYN_SENT2: a SYN from both sides
)

var tcpStateNames = [...]string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT",
	"CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
}

// String returns the name as the conntrack program writes it.
func (s TCPState) String() string { return stateName(tcpStateNames[:], uint8(s)) }

// stateName returns the name of a state, or its number if it has none.
func stateName(names []string, state uint8) string {
	if int(state) < len(names) {
		return names[state]
	}
	return "state " + strconv.Itoa(int(state))
}

// TCPFlags is a set of properties of one end of a TCP connection, in the bits
// IP_CT_TCP_FLAG_* of linux/netfilter/nf_conntrack_tcp.h. For the flags of a TCP
// header see nfnl.TCPFlags.
type TCPFlags uint8

// tcpFlagNames are of the bits from IP_CT_TCP_FLAG_WINDOW_SCALE on.
var tcpFlagNames = [...]string{
	"window-scale", "sack", "close-init", "liberal", "unacknowledged", "max-ack-set", "challenge-ack", "simultaneous-open",
}

// String returns the names of the set bits, for example "window-scale,sack", or
// "0x0" if there are none.
func (f TCPFlags) String() string { return setNames(tcpFlagNames[:], uint32(f)) }

// SCTPInfo is the state that connection tracking keeps for an SCTP association.
type SCTPInfo struct {
	State SCTPState

	// OriginalTag and ReplyTag are the verification tags of packets in each
	// direction, or 0 if the kernel does not know them yet.
	OriginalTag, ReplyTag uint32
}

// sctpInfo decodes a nested SCTPInfo: enum ctattr_protoinfo_sctp.
func (d *Decoder) sctpInfo() (s SCTPInfo) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_PROTOINFO_SCTP_STATE
			s.State = SCTPState(in.Uint8())
		case 2: // CTA_PROTOINFO_SCTP_VTAG_ORIGINAL
			s.OriginalTag = in.Uint32()
		case 3: // CTA_PROTOINFO_SCTP_VTAG_REPLY
			s.ReplyTag = in.Uint32()
		}
	}
	d.inherit(&in)
	return s
}

// SCTPState is the state of an SCTP association in connection tracking.
type SCTPState uint8

// The values of an SCTPState: enum sctp_conntrack of
// linux/netfilter/nf_conntrack_sctp.h. 0 means that there is no state.
const (
	SCTPClosed          SCTPState = 1 // SCTP_CONNTRACK_CLOSED
	SCTPCookieWait      SCTPState = 2 // SCTP_CONNTRACK_COOKIE_WAIT
	SCTPCookieEchoed    SCTPState = 3 // SCTP_CONNTRACK_COOKIE_ECHOED
	SCTPEstablished     SCTPState = 4 // SCTP_CONNTRACK_ESTABLISHED
	SCTPShutdownSent    SCTPState = 5 // SCTP_CONNTRACK_SHUTDOWN_SENT
	SCTPShutdownRecd    SCTPState = 6 // SCTP_CONNTRACK_SHUTDOWN_RECD
	SCTPShutdownAckSent SCTPState = 7 // SCTP_CONNTRACK_SHUTDOWN_ACK_SENT
	SCTPHeartbeatSent   SCTPState = 8 // SCTP_CONNTRACK_HEARTBEAT_SENT
	SCTPHeartbeatAcked  SCTPState = 9 // SCTP_CONNTRACK_HEARTBEAT_ACKED: older kernels only
)

var sctpStateNames = [...]string{
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED",
	"SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
}

// String returns the name as the conntrack program writes it.
func (s SCTPState) String() string { return stateName(sctpStateNames[:], uint8(s)) }

// DCCPInfo is the state that connection tracking keeps for a DCCP connection. New
// kernels do not track DCCP.
type DCCPInfo struct {
	State DCCPState

	// OriginalIsServer reports whether the server, not the client, is the sender of
	// the original direction (CTA_PROTOINFO_DCCP_ROLE). It is usually false.
	OriginalIsServer bool

	// HandshakeSeq is the sequence number of the packet whose acknowledgement
	// completes the current step of the handshake.
	HandshakeSeq uint64
}

// dccpInfo decodes a nested DCCPInfo: enum ctattr_protoinfo_dccp.
func (d *Decoder) dccpInfo() (c DCCPInfo) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case 1: // CTA_PROTOINFO_DCCP_STATE
			c.State = DCCPState(in.Uint8())
		case 2: // CTA_PROTOINFO_DCCP_ROLE, CT_DCCP_ROLE_CLIENT is 0
			c.OriginalIsServer = in.Uint8() != 0
		case 3: // CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ
			c.HandshakeSeq = in.Uint64()
		}
	}
	d.inherit(&in)
	return c
}

// DCCPState is the state of a DCCP connection in connection tracking.
type DCCPState uint8

// The values of a DCCPState: enum ct_dccp_states of
// linux/netfilter/nf_conntrack_dccp.h. 0 means that there is no state.
const (
	DCCPRequest  DCCPState = 1 // CT_DCCP_REQUEST
	DCCPRespond  DCCPState = 2 // CT_DCCP_RESPOND
	DCCPPartOpen DCCPState = 3 // CT_DCCP_PARTOPEN
	DCCPOpen     DCCPState = 4 // CT_DCCP_OPEN
	DCCPCloseReq DCCPState = 5 // CT_DCCP_CLOSEREQ
	DCCPClosing  DCCPState = 6 // CT_DCCP_CLOSING
	DCCPTimeWait DCCPState = 7 // CT_DCCP_TIMEWAIT
)

var dccpStateNames = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT"}

// String returns the name as the conntrack program writes it.
func (s DCCPState) String() string { return stateName(dccpStateNames[:], uint8(s)) }
