package nfqueue

import (
	"errors"
	"fmt"
	"net"

	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/nfnl"
)

var (
	// ErrTaken is the error of Open if another socket has the queue. It is the same
	// value in nfqueue and nflog, and does not match os.ErrPermission. Its Error method
	// searches /proc for the program that has the queue, and names it if found. The
	// kernel releases the queue of a killed process a few milliseconds after it exits,
	// so a program that takes over should retry.
	ErrTaken = diagnose.ErrTaken

	// ErrPacketGone reports verdicts on packets that the kernel no longer has. This is
	// expected after a device goes down or a base chain of the network namespace is
	// deleted, because the kernel then drops the packets that wait.
	ErrPacketGone = errors.New("the kernel no longer has the packet")

	// ErrDecided reports a second verdict on a packet, or an ID that this program did
	// not receive.
	ErrDecided = errors.New("no packet with this ID waits for a verdict")

	// ErrTruncated refuses a payload for a packet that Config.CopyRange truncated, or
	// that was delivered with Config.MetadataOnly, because the bytes that were not
	// delivered would be lost. Raise CopyRange. TCP packets may be longer than the
	// maximum CopyRange. On the loopback device an MTU of 32000 keeps packets within
	// the maximum CopyRange. With BIG TCP, lower gso_max_size of the device or set
	// Config.Segment.
	ErrTruncated = errors.New("the packet was truncated by Config.CopyRange and cannot be rewritten; raise CopyRange (on lo, lower the MTU to 32000; with BIG TCP, lower gso_max_size)")

	// ErrGSO refuses a payload for a packet that the kernel will segment later
	// (Packet.GSO), if the kernel might drop all or part of the rewritten packet. With
	// Config.Segment each segment can be rewritten. Without it only these payloads are
	// permitted:
	//
	//   - TCP: the data must not become shorter, except at the input hook. Shorter data
	//     might fit into one segment, and the kernel drops such a packet.
	//   - UDP: before Linux 6.12 none. From 6.12 on, the length must not change, the
	//     hook must not be prerouting or input, and NAT must not change the packet
	//     later.
	//
	// GSO packets of a tunnel cannot be rewritten without Config.Segment. The exception
	// is a UDP tunnel with an outer checksum, to whose packets the rules for UDP apply.
	ErrGSO = errors.New("the kernel has not segmented the packet yet and would lose the rewrite; set Config.Segment")

	// ErrTunnel refuses a payload for a packet that encapsulates another whose checksum
	// is still pending (Packet.ChecksumPending), because the kernel would not compute
	// it after a rewrite. This occurs with VXLAN, GENEVE, FOU, GUE, GRE, IPIP and the
	// like, on the host that sends the inner packet. With Config.Segment the kernel
	// computes all checksums before it queues the packet. A program that sets the inner
	// checksum itself can use WithRawPayload.
	ErrTunnel = errors.New("the pending checksum is that of an encapsulated packet; set Config.Segment")

	// ErrFragment refuses a payload that changes the data of a fragment. The transport
	// checksum covers all fragments, and the offsets of the other fragments cannot
	// change. A payload that changes only the IP header is permitted. If connections
	// are tracked, a chain after connection tracking gets reassembled datagrams instead
	// of fragments.
	ErrFragment = errors.New("the data of a fragment cannot be rewritten; queue after connection tracking, which reassembles datagrams")

	// ErrNotIP is wrapped by errors of Finish and WithPayload for bytes that are not an
	// IPv4 or IPv6 packet.
	ErrNotIP = checksum.ErrNotIP

	// ErrBadHeader is wrapped by errors of Finish and WithPayload for a packet whose
	// checksums cannot be computed, because its headers are truncated, contradict its
	// length, or do not determine what the checksum covers.
	ErrBadHeader = checksum.ErrBadHeader

	// ErrCorrupt refuses to rewrite a packet that was received with a wrong checksum.
	// A new checksum would hide the damage.
	ErrCorrupt = errors.New("the packet was received with a wrong checksum; drop it, or accept it unchanged")

	// ErrPayload refuses a payload that is empty, too short for its IP header or too
	// long; a VLAN tag without a protocol; and a link header that is not as long as
	// Packet.LinkHeader.
	ErrPayload = errors.New("invalid replacement packet")

	// ErrRewriteForbidden refuses a payload that the kernel would drop silently. Every
	// kernel drops a payload of another IP version than the packet's.
	//
	// From Linux 7.2 on packets can be rewritten only in a network namespace that
	// belongs to the initial user namespace, and only if their family is IPv4 or IPv6.
	// The header length, options, next header, extension headers and fragment fields,
	// except "don't fragment", must not change. A payload of WithRawPayload must
	// contain the correct IP version and length. The package cannot detect an older
	// kernel to which this change was backported; such a kernel drops the packet
	// silently.
	ErrRewriteForbidden = errors.New("the kernel drops such a rewrite")

	// ErrUntracked reports a packet that has no connection, or a verdict that changes
	// the connection where that is not possible. Without Config.Conntrack a change on a
	// packet that has no connection is not detected.
	ErrUntracked = errors.New("the packet is not tracked, or neither Config.Conntrack nor ConntrackVerdicts is set")

	// ErrExpectation refuses an expectation that attr.Expectation.Check refuses, or of
	// another IP version than the packet.
	ErrExpectation = errors.New("the expectation cannot be used")

	// ErrNoHelper is returned if the connection has no helper and the verdict
	//
	//   - has an expectation, which the kernel would ignore, or
	//   - changes both the connection and the length of a TCP packet, and NAT applies.
	//     The kernel would log a warning and corrupt the connection. Make the two
	//     changes in verdicts on different packets, or give the connection a helper
	//     before NAT sees it.
	//
	// With only Config.ConntrackVerdicts set, neither case can be detected.
	ErrNoHelper = errors.New("the connection has no helper; give it one by a rule (ct helper set)")

	// ErrNotBridge refuses a VLAN tag or link header for a packet of another
	// family than bridge, where the kernel ignores them.
	ErrNotBridge = errors.New("only a packet of the bridge family can get a VLAN tag or link header")

	// ErrExpired reports a packet that got the fallback of HoldFor, because it had no
	// other verdict in time.
	ErrExpired = errors.New("the hold has expired")

	// ErrNoLinkHeader reports a frame that is lost even if it is accepted. With
	// Config.Segment the kernel loses the Ethernet header of a frame with a VLAN tag
	// when it segments it on a bridge. Do not set Segment on bridges with VLANs.
	ErrNoLinkHeader = errors.New("the kernel lost the Ethernet header of a VLAN frame that it segmented; do not set Config.Segment on this bridge")

	// ErrTooManyHeld reports a packet that is not held because Config.MaxHeld or
	// Config.MaxHeldBytes is reached.
	ErrTooManyHeld = errors.New("too many packets are held; see Config.MaxHeld and MaxHeldBytes")

	// ErrHoldFallback refuses a HoldFor whose fallback is Hold, or has a change other
	// than a mark and a priority.
	ErrHoldFallback = errors.New("HoldFor: the fallback must not be Hold, and can have no change but a mark and a priority")

	errNoHeader = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)

	// errNoQueue is the error of a Ticket of no queue, such as the zero Ticket.
	errNoQueue = fmt.Errorf("nfqueue: the packet did not come from an open queue: %w", net.ErrClosed)

	// These are mistakes of the caller, which a program cannot handle.
	errForeignBatch = errors.New("the Batch was not made by NewBatch of this queue")
	errBatchInUse   = errors.New("another goroutine uses the Batch: each needs one of its own")
	errNoContext    = errors.New("nfqueue: the context is nil")
	errNoHandler    = errors.New("nfqueue: the Handler is nil")
)
