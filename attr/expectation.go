package attr

import (
	"errors"
	"fmt"
	"net/netip"
)

// The attributes of an expectation, enum ctattr_expect of
// linux/netfilter/nfnetlink_conntrack.h.
const (
	expectTuple    = 2  // CTA_EXPECT_TUPLE
	expectMask     = 3  // CTA_EXPECT_MASK
	expectHelpName = 6  // CTA_EXPECT_HELP_NAME
	expectFlags    = 8  // CTA_EXPECT_FLAGS
	expectClass    = 9  // CTA_EXPECT_CLASS
	expectNAT      = 10 // CTA_EXPECT_NAT
	expectFunction = 11 // CTA_EXPECT_FN

	expectNATDirection = 1 // CTA_EXPECT_NAT_DIR
	expectNATTuple     = 2 // CTA_EXPECT_NAT_TUPLE
)

// Flags of an expectation, linux/netfilter/nf_conntrack_common.h.
const (
	expectPermanent = 1 << 0 // NF_CT_EXPECT_PERMANENT
	expectInactive  = 1 << 1 // NF_CT_EXPECT_INACTIVE
)

// The longest names, in bytes.
const (
	maxHelperName   = 15 // NF_CT_HELPER_NAME_LEN without the NUL
	maxFunctionName = 63 // the kernel has no limit; its longest has 17
)

// An Expectation describes a connection that an existing one, its master, announces, as
// an FTP control connection announces a data connection. The first packet of the new
// connection is "related" (InfoRelated), and its Conntrack.Master is the master's
// tuple. The policy of the master's helper sets the timeout and the maximum number of
// expectations.
//
// An Expectation is sent with a verdict (nfqueue.Verdict.WithExpectation). The kernel
// never sends one with a packet.
type Expectation struct {
	// Tuple has the addresses of the first packet as it arrives, before NAT. Only Src,
	// Dst and Protocol are sent; the zone is always the master's. The protocol must be
	// one with ports.
	Tuple Tuple

	// Mask has the bits of Tuple.Src that have to match: 255.255.255.255:0 matches the
	// address of Tuple.Src with any port, 0.0.0.0:0 any address and port. There is no
	// default. Tuple.Dst and Tuple.Protocol always have to match.
	Mask netip.AddrPort

	// Permanent keeps the expectation after the first connection that matches it, until
	// its timeout. Inactive makes it match no connection.
	Permanent, Inactive bool

	// Helper is the name of the helper that the new connection gets, at most 15 bytes,
	// or empty for none. The kernel must have this helper for the master's protocol.
	Helper string

	// Class selects a policy of the master's helper by its index, from 0. Kernels
	// without a correction of 2026 ignore Class if Helper is empty, and do not check
	// that the master's helper has such a policy.
	Class uint32

	// NAT has what the Function below needs to translate the new connection's addresses
	// like the master's. Leave it zero if the master has no NAT. The zero NAT is not
	// sent.
	NAT ExpectationNAT

	// Function is the name of the kernel's function that is called for the new
	// connection, such as "nat-follow-master", or empty for none. It requires NAT.
	Function string
}

// An ExpectationNAT is how NAT translates an expected connection. The zero
// ExpectationNAT means that it does not.
type ExpectationNAT struct {
	// Reply is set if the master's server opens the new connection, in the direction of
	// the master's replies.
	Reply bool

	// To is the address and port that the accepting end announced for the new
	// connection. "nat-follow-master" uses only the port; it takes the address from the
	// master.
	To netip.AddrPort
}

// Check returns nil if e can be used, and otherwise the reason. The kernel silently
// refuses an e that fails Check.
func (e *Expectation) Check() error {
	src, dst := e.Tuple.Src.Addr(), e.Tuple.Dst.Addr()
	switch {
	case !src.IsValid() || !dst.IsValid():
		return errors.New("field Tuple has no Src or no Dst")
	case !e.Mask.IsValid():
		return errors.New("field Mask is missing; 255.255.255.255:0 matches any port of Tuple.Src")
	case src.Is4() != dst.Is4() || src.Is4() != e.Mask.Addr().Is4() || e.NAT.To.IsValid() && src.Is4() != e.NAT.To.Addr().Is4():
		return errors.New("some addresses are IPv4 and others IPv6")
	case e.Tuple.Protocol == 0 || isICMP(e.Tuple.Protocol):
		return fmt.Errorf("field Tuple.Protocol is %d, which has no ports", e.Tuple.Protocol)
	case len(e.Helper) > maxHelperName:
		return fmt.Errorf("field Helper has %d bytes, above %d", len(e.Helper), maxHelperName)
	case len(e.Function) > maxFunctionName:
		return fmt.Errorf("field Function has %d bytes, above %d", len(e.Function), maxFunctionName)
	case e.Function != "" && e.NAT == (ExpectationNAT{}):
		return errors.New("field Function needs NAT.To")
	case e.NAT != (ExpectationNAT{}) && !e.NAT.To.IsValid():
		return errors.New("field NAT has no address in To")
	}
	return nil
}

// AppendExpectation appends the attributes of e, for inside the nested attribute
// NFQA_EXP of a verdict. Check must have returned nil for e: if e has no tuple or no
// mask, kernels without a correction of 2026 dereference a null pointer
// (ctnetlink_glue_attach_expect).
func AppendExpectation(b []byte, e *Expectation) []byte {
	b = appendTuple(b, expectTuple, e.Tuple.Protocol, e.Tuple.Src, e.Tuple.Dst)
	// Of the mask and of NAT the kernel reads the source, but wants all of a tuple
	// there (ctnetlink_alloc_expect).
	b = appendTuple(b, expectMask, e.Tuple.Protocol, e.Mask, e.Tuple.Dst)
	if e.Helper != "" {
		b = AppendString(b, expectHelpName, e.Helper)
	}
	if flags := e.flags(); flags != 0 {
		b = AppendUint32(b, expectFlags, flags)
	}
	if e.Class != 0 {
		b = AppendUint32(b, expectClass, e.Class)
	}
	if e.NAT.To.IsValid() {
		b = e.appendNAT(b)
	}
	if e.Function != "" {
		b = AppendString(b, expectFunction, e.Function)
	}
	return b
}

// flags returns the kernel's bits.
func (e *Expectation) flags() (bits uint32) {
	if e.Permanent {
		bits |= expectPermanent
	}
	if e.Inactive {
		bits |= expectInactive
	}
	return bits
}

// appendNAT appends e.NAT: enum ctattr_expect_nat. The direction is 0 for
// IP_CT_DIR_ORIGINAL or 1 for IP_CT_DIR_REPLY.
func (e *Expectation) appendNAT(b []byte) []byte {
	direction := uint32(0)
	if e.NAT.Reply {
		direction = 1
	}
	start := len(b)
	b = BeginNested(b, expectNAT)
	b = AppendUint32(b, expectNATDirection, direction)
	b = appendTuple(b, expectNATTuple, e.Tuple.Protocol, e.NAT.To, e.Tuple.Dst)
	return EndNested(b, start)
}

// Decode fills e from b, the value of the attribute NFQA_EXP in a verdict. If it
// returns an error, the error wraps ErrMalformed and e is zero.
func (e *Expectation) Decode(b []byte) error {
	*e = Expectation{}
	d := NewDecoder(b)
	for d.Next() {
		switch d.Type() {
		case expectTuple:
			e.Tuple = d.tuple()
		case expectMask:
			e.Mask = d.tuple().Src
		case expectHelpName:
			e.Helper = string(d.CString())
		case expectFlags:
			flags := d.Uint32()
			e.Permanent, e.Inactive = flags&expectPermanent != 0, flags&expectInactive != 0
		case expectClass:
			e.Class = d.Uint32()
		case expectNAT:
			e.NAT = d.expectationNAT()
		case expectFunction:
			e.Function = string(d.CString())
		}
	}
	if err := d.Err(); err != nil {
		*e = Expectation{}
		return fmt.Errorf("expectation: %w", err)
	}
	return nil
}

// expectationNAT decodes a nested ExpectationNAT.
func (d *Decoder) expectationNAT() (n ExpectationNAT) {
	in := d.Nested()
	for in.Next() {
		switch in.Type() {
		case expectNATDirection:
			n.Reply = in.Uint32() != 0
		case expectNATTuple:
			n.To = in.tuple().Src
		}
	}
	d.inherit(&in)
	return n
}
