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

// TCPInfo is what connection tracking knows of a TCP connection.
type TCPInfo struct {
	State TCPState

	// The scales are those that each side has announced for its window: it is
	// shifted left by so many bits.
	OriginalScale, ReplyScale uint8

	// The flags are of what each side has sent.
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

// TCPState is how far a TCP connection has come, as connection tracking sees
// it.
type TCPState uint8

// enum tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h; 0 is none.
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

// TCPFlags is a set of bits about one side of a TCP connection: IP_CT_TCP_FLAG_ of
// linux/netfilter/nf_conntrack_tcp.h.
type TCPFlags uint8

// tcpFlagNames are of the bits from IP_CT_TCP_FLAG_WINDOW_SCALE on.
var tcpFlagNames = [...]string{
	"window-scale", "sack", "close-init", "liberal", "unacknowledged", "max-ack-set", "challenge-ack", "simultaneous-open",
}

// String returns the names of the bits that are set, as in "window-scale,sack",
// or "0x0".
func (f TCPFlags) String() string { return setNames(tcpFlagNames[:], uint32(f)) }

// SCTPInfo is what connection tracking knows of an SCTP association.
type SCTPInfo struct {
	State SCTPState

	// The tags are what packets in each direction have as verification tag, or 0
	// while that is not known yet.
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

// SCTPState is how far an SCTP association has come, as connection tracking
// sees it.
type SCTPState uint8

// enum sctp_conntrack of linux/netfilter/nf_conntrack_sctp.h; 0 is none.
const (
	SCTPClosed          SCTPState = 1 // SCTP_CONNTRACK_CLOSED
	SCTPCookieWait      SCTPState = 2 // SCTP_CONNTRACK_COOKIE_WAIT
	SCTPCookieEchoed    SCTPState = 3 // SCTP_CONNTRACK_COOKIE_ECHOED
	SCTPEstablished     SCTPState = 4 // SCTP_CONNTRACK_ESTABLISHED
	SCTPShutdownSent    SCTPState = 5 // SCTP_CONNTRACK_SHUTDOWN_SENT
	SCTPShutdownRecd    SCTPState = 6 // SCTP_CONNTRACK_SHUTDOWN_RECD
	SCTPShutdownAckSent SCTPState = 7 // SCTP_CONNTRACK_SHUTDOWN_ACK_SENT
	SCTPHeartbeatSent   SCTPState = 8 // SCTP_CONNTRACK_HEARTBEAT_SENT
	SCTPHeartbeatAcked  SCTPState = 9 // SCTP_CONNTRACK_HEARTBEAT_ACKED: of older kernels
)

var sctpStateNames = [...]string{
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED",
	"SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
}

// String returns the name as the conntrack program writes it.
func (s SCTPState) String() string { return stateName(sctpStateNames[:], uint8(s)) }

// DCCPInfo is what connection tracking knows of a DCCP connection, in kernels
// that still track DCCP.
type DCCPInfo struct {
	State DCCPState

	// OriginalIsServer says that the original direction is the server's. Most
	// often it is the client's. It is the role of CTA_PROTOINFO_DCCP_ROLE.
	OriginalIsServer bool

	// HandshakeSeq is the sequence number of the packet that the handshake waits
	// to see acknowledged.
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

// DCCPState is how far a DCCP connection has come, as connection tracking sees
// it.
type DCCPState uint8

// enum ct_dccp_states of linux/netfilter/nf_conntrack_dccp.h; 0 is none.
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
