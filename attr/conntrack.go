package attr

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// The attributes of a connection, enum ctattr_type of
// linux/netfilter/nfnetlink_conntrack.h.
const (
	ctaTupleOrig     = 1  // CTA_TUPLE_ORIG
	ctaTupleReply    = 2  // CTA_TUPLE_REPLY
	ctaStatus        = 3  // CTA_STATUS
	ctaProtoInfo     = 4  // CTA_PROTOINFO
	ctaHelp          = 5  // CTA_HELP
	ctaTimeout       = 7  // CTA_TIMEOUT
	ctaMark          = 8  // CTA_MARK
	ctaCountersOrig  = 9  // CTA_COUNTERS_ORIG
	ctaCountersReply = 10 // CTA_COUNTERS_REPLY
	ctaID            = 12 // CTA_ID
	ctaTupleMaster   = 14 // CTA_TUPLE_MASTER
	ctaSeqAdjOrig    = 15 // CTA_SEQ_ADJ_ORIG
	ctaSeqAdjReply   = 16 // CTA_SEQ_ADJ_REPLY
	ctaZone          = 18 // CTA_ZONE
	ctaSecCtx        = 19 // CTA_SECCTX
	ctaTimestamp     = 20 // CTA_TIMESTAMP
	ctaLabels        = 22 // CTA_LABELS
	ctaSynProxy      = 24 // CTA_SYNPROXY
)

// A Conntrack is the entry in the connection tracking table for the connection of a
// packet.
//
// Fields that the kernel did not send are zero. Slices alias the bytes passed to
// Decode and are valid as long as those; all other fields are copies.
type Conntrack struct {
	ID     uint32 // unique while the connection lasts
	Status ConntrackStatus
	Zone   uint16 // 0 is the default zone; see also Tuple.Zone

	// Mark is the connection's mark. HasMark reports whether the kernel sent it; a
	// kernel built without CONFIG_NF_CONNTRACK_MARK does not.
	Mark    uint32
	HasMark bool

	// Labels are the bits set by rules such as "ct label set". HasLabels reports
	// whether the kernel sent them, which it does only if at least one is set.
	Labels    ConntrackLabels
	HasLabels bool

	// Timeout is how long the entry is kept if no other packet arrives, in whole
	// seconds.
	Timeout time.Duration

	// Original is the direction of the first packet, Reply the opposite one. With
	// NAT, each has the addresses that packets of that direction have when they
	// arrive, before they are translated. Master is the connection that made the
	// kernel expect this one, such as FTP's control connection, or the zero Tuple.
	Original, Reply, Master Tuple

	// TCP, SCTP and DCCP are zero for other protocols.
	TCP  TCPInfo
	SCTP SCTPInfo
	DCCP DCCPInfo

	// Counted reports whether the kernel sent counters. It does if the sysctl
	// net.netfilter.nf_conntrack_acct was set when the connection began. The counters
	// include the queued or logged packet itself. Kernels before 5.13 send neither the
	// counters nor the times below.
	Counted                         bool
	OriginalCounters, ReplyCounters Counters

	// Start and Stop are when the connection began and ended, if the sysctl
	// net.netfilter.nf_conntrack_timestamp was set when it began. Start is zero
	// until the first packet has left the host or reached its socket, Stop until
	// the connection has ended.
	Start, Stop time.Time

	// Helper is the name of the helper that follows the connection, "ftp" for
	// example, or nil. HelperInfo is the data that a helper in user space has
	// stored with the connection, or nil. The kernel does not send the data of its
	// own helpers.
	Helper, HelperInfo []byte

	// SecurityContext is the label of the security module (SELinux, Smack) that a
	// rule gave the connection (CONNSECMARK), or nil.
	SecurityContext []byte

	// OriginalSeqAdj and ReplySeqAdj are how the kernel adjusts the TCP sequence
	// numbers of each direction after it changed the length of the data, as helpers
	// do.
	OriginalSeqAdj, ReplySeqAdj SeqAdj

	// SynProxy is zero unless a SYNPROXY rule answered the connection's SYN.
	SynProxy SynProxy
}

// Decode fills c from b, the value of the attribute NFQA_CT or NFULA_CT. If it
// returns an error, the error wraps ErrMalformed and c is zero. It allocates only
// to report an error.
func (c *Conntrack) Decode(b []byte) error {
	*c = Conntrack{}
	d := NewDecoder(b)
	for d.Next() {
		c.set(&d)
	}
	if err := d.Err(); err != nil {
		*c = Conntrack{}
		return fmt.Errorf("conntrack: %w", err)
	}
	return nil
}

// set takes over the attribute d stands on. ctnetlink_glue_build of
// nf_conntrack_netlink.c has the list of what there can be.
func (c *Conntrack) set(d *Decoder) {
	switch d.Type() {
	case ctaTupleOrig:
		c.Original = d.tuple()
	case ctaTupleReply:
		c.Reply = d.tuple()
	case ctaTupleMaster:
		c.Master = d.tuple()
	case ctaID:
		c.ID = d.Uint32()
	case ctaStatus:
		c.Status = ConntrackStatus(d.Uint32())
	case ctaZone:
		c.Zone = d.Uint16()
	case ctaMark:
		c.Mark, c.HasMark = d.Uint32(), true
	case ctaLabels:
		copy(c.Labels[:], d.Bytes())
		c.HasLabels = true
	case ctaTimeout:
		c.Timeout = time.Duration(d.Uint32()) * time.Second
	case ctaProtoInfo:
		d.protoInfo(c)
	case ctaCountersOrig:
		c.OriginalCounters, c.Counted = d.counters(), true
	case ctaCountersReply:
		c.ReplyCounters, c.Counted = d.counters(), true
	case ctaTimestamp:
		c.Start, c.Stop = d.startStop()
	case ctaHelp:
		c.Helper, c.HelperInfo = d.help()
	case ctaSecCtx:
		c.SecurityContext = d.secCtx()
	case ctaSeqAdjOrig:
		c.OriginalSeqAdj = d.seqAdj()
	case ctaSeqAdjReply:
		c.ReplySeqAdj = d.seqAdj()
	case ctaSynProxy:
		c.SynProxy = d.synProxy()
	}
}

// SourceNAT reports whether NAT changes the source of the connection's packets, as
// rules with "snat" and "masquerade" do.
func (c *Conntrack) SourceNAT() bool {
	return c.Status&StatusSourceNAT != 0
}

// DestinationNAT reports whether NAT changes the destination of the connection's
// packets, as rules with "dnat" and "redirect" do.
func (c *Conntrack) DestinationNAT() bool {
	return c.Status&StatusDestinationNAT != 0
}

// ConntrackLabels is a set of the numbers 0 to 127, the labels of a connection. The
// file connlabel.conf maps them to the names that rules use. The zero
// ConntrackLabels is the empty set.
//
// The bytes are those of the kernel: an array of unsigned long in host byte order. The
// package assumes that the kernel's words are as long as the program's. A 32-bit
// big-endian program on a 64-bit kernel therefore reads and sets the wrong labels.
type ConntrackLabels [16]byte

// Has reports whether n is in the set. It returns false if n is not between 0 and
// 127.
func (l *ConntrackLabels) Has(n int) bool {
	if n < 0 || n >= 8*len(l) {
		return false
	}
	return l[labelByte(n)]&(1<<(n%8)) != 0
}

// Set adds n to the set. It panics if n is not between 0 and 127.
func (l *ConntrackLabels) Set(n int) {
	l[labelByte(n)] |= 1 << (n % 8)
}

// AllLabels returns the set of all 128 labels, for use as a mask that replaces all
// of them.
func AllLabels() (l ConntrackLabels) {
	for i := range l {
		l[i] = 0xff
	}
	return l
}

// labelByte returns the index of the byte that has bit n: byte n/8, but counted
// from the other end of each word on a big-endian machine.
func labelByte(n int) int {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return n/8 ^ (bits.UintSize/8 - 1)
	}
	return n / 8
}
