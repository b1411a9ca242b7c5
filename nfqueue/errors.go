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
	// value in nfqueue and nflog, and does not match os.ErrPermission. The error's text
	// names the program that has the queue, if a search of /proc, made when the text is
	// requested, finds it. The kernel releases the queue of a killed process a few
	// milliseconds after it exits; a standby should retry.
	ErrTaken = diagnose.ErrTaken

	// ErrPacketGone reports verdicts on packets that the kernel no longer has. This is
	// expected after a device goes down or a base chain of the network namespace is
	// deleted, because the kernel then drops the packets that wait.
	ErrPacketGone = errors.New("the kernel no longer has the packet")

	// ErrDecided reports a second verdict on a packet, or an ID that this program did
	// not receive.
	ErrDecided = errors.New("no packet with this ID waits for a verdict")

	// ErrTruncated refuses a payload for a packet that Config.CopyRange truncated,
	// because the bytes not delivered would be lost. Raise CopyRange. On the loopback device,
	// where TCP packets are longer than any CopyRange, lower the MTU to 32000. Where
	// BIG TCP makes them longer, set Config.Segment, or a smaller gso_max_size on the
	// device.
	ErrTruncated = errors.New("the packet was truncated by Config.CopyRange and cannot be rewritten; raise CopyRange (on lo, lower the MTU to 32000; with BIG TCP, lower gso_max_size)")

	// ErrGSO refuses a payload for a packet that the kernel will cut into segments
	// later (Packet.GSO), where it might not arrive whole. With Config.Segment each
	// segment can be rewritten. Without it these payloads arrive:
	//
	//   - TCP: the data must not become shorter, except at the input hook. Shorter data
	//     might fit into one segment, and the kernel drops such a packet.
	//   - UDP, from Linux 6.12 on: the length must not change, the hook must not be
	//     prerouting or input, and NAT must not change the packet later.
	//
	// GSO packets of a tunnel cannot be rewritten without Config.Segment, except those
	// of a UDP tunnel with an outer checksum, which count as UDP.
	ErrGSO = errors.New("the kernel has not segmented the packet yet and would lose the rewrite; set Config.Segment")

	// ErrTunnel refuses a payload for a packet that encapsulates another whose checksum
	// is still pending (Packet.ChecksumPending), because the kernel would not compute
	// it after a rewrite. This occurs with VXLAN, GENEVE, FOU, GUE, GRE, IPIP and the
	// like, on the host that sends the inner packet. With Config.Segment the kernel
	// computes all checksums before it queues the packet. A program that sets the inner
	// checksum itself can use WithRawPayload.
	ErrTunnel = errors.New("the pending checksum is that of an encapsulated packet; set Config.Segment")

	// ErrFragment refuses a payload that changes the data of a fragment. The transport
	// checksum covers all fragments, and the offsets of the others are fixed. A payload
	// that changes only the IP header is permitted. Where connections are tracked (a
	// rule with ct), the kernel reassembles datagrams before it queues them.
	ErrFragment = errors.New("the data of a fragment cannot be rewritten; queue after connection tracking, which reassembles datagrams")

	// ErrNotIP says that bytes to be finished are not an IPv4 or IPv6 packet.
	ErrNotIP = checksum.ErrNotIP

	// ErrBadHeader says that a packet can't be finished because its headers are
	// cut short, contradict its length, or leave open what the checksum covers.
	ErrBadHeader = checksum.ErrBadHeader

	// ErrCorrupt refuses to rewrite a packet that was received with a wrong checksum.
	// A new checksum would hide the damage.
	ErrCorrupt = errors.New("the packet's checksum was wrong before the rewrite")

	// ErrPayload refuses a payload, VLAN tag or link header that cannot be used.
	ErrPayload = errors.New("invalid replacement packet")

	// ErrRewriteForbidden refuses a payload that the kernel would drop silently.
	// Every kernel does so with a packet of another IP version.
	//
	// From Linux 7.2 on packets can be rewritten only where the network namespace
	// belongs to the system's first user namespace, and only those of the families
	// IPv4 and IPv6. The length of the header, options, the next header, extension
	// headers and the fragment fields, but for "don't fragment", must stay as they
	// are. A payload of WithRawPayload must contain the correct IP version and length.
	// The package cannot detect an older kernel to which this change was backported;
	// such a kernel drops the packet silently.
	ErrRewriteForbidden = errors.New("the kernel drops such a rewrite")

	// ErrUntracked reports a packet without a connection, or without one that a verdict
	// can change. For verdicts it is detected only with Config.Conntrack.
	ErrUntracked = errors.New("the packet is not tracked, or neither Config.Conntrack nor ConntrackVerdicts is set")

	// ErrExpectation refuses an expectation that cannot be used.
	ErrExpectation = errors.New("the expectation cannot be used")

	// ErrNoHelper is returned if the connection has no helper and the verdict
	//
	//   - has an expectation, which the kernel would ignore, or
	//   - changes both the length of a TCP packet and the connection, and NAT applies.
	//     The kernel would log a warning and corrupt the connection. Make the two
	//     changes in verdicts on different packets, or give the connection a helper
	//     before NAT sees it.
	//
	// With only Config.ConntrackVerdicts set, neither case can be detected.
	ErrNoHelper = errors.New("the connection has no helper; give it one by a rule (ct helper set)")

	// ErrNotBridge refuses a VLAN tag or link header for a packet of another
	// family than bridge, where the kernel ignores them.
	ErrNotBridge = errors.New("only a packet of the bridge family can get a VLAN tag or link header")

	// ErrExpired reports that a held packet got the fallback of its HoldFor.
	ErrExpired = errors.New("the hold has expired")

	// ErrNoLinkHeader reports a frame that is lost whatever its verdict is. With
	// Config.Segment the kernel loses the Ethernet header of a frame with a VLAN tag
	// when it segments it on a bridge. Do not set Segment on bridges with VLANs.
	ErrNoLinkHeader = errors.New("the kernel lost the Ethernet header of a VLAN frame that it segmented; do not set Config.Segment on this bridge")

	// ErrTooManyHeld reports a packet that is not held because Config.MaxHeld or
	// Config.MaxHeldBytes is reached.
	ErrTooManyHeld = errors.New("too many packets are held; see Config.MaxHeld and MaxHeldBytes")

	// ErrHoldFallback refuses a HoldFor whose fallback is Hold, or has a change that
	// depends on the packet.
	ErrHoldFallback = errors.New("HoldFor: fallback must not be Hold or carry per-packet changes")

	errNoHeader = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)

	// errNoQueue is what a Ticket of no queue says, such as the zero one.
	errNoQueue = fmt.Errorf("nfqueue: the packet did not come from an open queue: %w", net.ErrClosed)

	// These are mistakes in the program, which it cannot do anything about.
	errForeignBatch = errors.New("the Batch was not made by NewBatch of this queue")
	errBatchInUse   = errors.New("another goroutine uses the Batch: each needs one of its own")
	errNoContext    = errors.New("nfqueue: a context is needed, not nil")
	errNoHandler    = errors.New("nfqueue: Run needs a Handler, not nil")
)
