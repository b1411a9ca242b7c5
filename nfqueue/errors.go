package nfqueue

import (
	"errors"
	"fmt"
	"net"

	"github.com/nfpacket/nfpacket/nfnl"
)

var (
	// ErrTaken is why Open fails when another socket has the queue: the same value
	// for nfqueue and nflog. It does not match os.ErrPermission. The error's text
	// names the program that has it, where that can be found out, by a search among
	// all processes at the time when the text is asked for. The kernel
	// releases a killed process's queue a few milliseconds after it exits; a standby
	// should retry.
	ErrTaken = nfnl.ErrTaken

	// ErrPacketGone says that verdicts came for packets the kernel no longer
	// has. That is normal when a device goes down, or when anybody deletes a
	// base chain in the network namespace: the kernel then drops all that is
	// queued in it.
	ErrPacketGone = errors.New("the kernel no longer has the packet")

	// ErrDecided says that a packet had its verdict already, or that no packet
	// with that ID was handed to this program.
	ErrDecided = errors.New("no packet with this ID waits for a verdict")

	// ErrTruncated refuses a payload for a packet that Config.CopyRange cut: what
	// was not delivered would be lost. Raise CopyRange. On the loopback device,
	// where TCP packets are longer than any CopyRange, lower the MTU to 32000. Where
	// BIG TCP makes them longer, set Config.Segment, or a smaller gso_max_size on the
	// device.
	ErrTruncated = errors.New("the packet was cut by Config.CopyRange and cannot be rewritten; raise it (on lo, lower the MTU to 32000; with BIG TCP, lower gso_max_size)")

	// ErrGSO refuses a payload for a packet that the kernel is yet to cut into
	// segments (Packet.GSO), where it might not arrive whole. Set Config.Segment,
	// and each segment can be rewritten; or make the payload one that arrives:
	//
	//   - TCP with as much data or more. With less it might fit into one segment,
	//     and the kernel loses such a one. At the hook input it may be shorter.
	//   - UDP with as much data, not at the hooks prerouting and input, and not in
	//     front of a NAT that changes it; from kernel 6.12 on.
	//
	// What carries a tunnel cannot be rewritten as it is.
	ErrGSO = errors.New("the kernel is yet to cut the packet into segments, and would lose the rewrite; set Config.Segment")

	// ErrTunnel refuses a payload for a packet whose pending checksum
	// (Packet.ChecksumPending) is that of another packet inside, where the kernel
	// would not compute it any more: VXLAN, GENEVE, FOU, GUE, GRE, IPIP and the
	// like, on the host where the inner packet begins. Set Config.Segment: all
	// checksums are there then. WithRawPayload sends such a packet whose inner
	// checksum the program has set itself.
	ErrTunnel = errors.New("the packet's checksum is pending, and is that of a packet inside; set Config.Segment")

	// ErrFragment refuses a payload for a fragment of a datagram whose data it
	// changes: the checksum covers other fragments too, and they have their place.
	// The IP header may change. Where connections are tracked (a rule with ct) the
	// kernel puts datagrams together before they are queued.
	ErrFragment = errors.New("the data of a fragment cannot be rewritten; queue behind connection tracking, which puts datagrams together")

	// ErrCorrupt refuses to rewrite a packet whose checksum was wrong when it
	// came: finishing it would make the damage look right.
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
	// are, and WithRawPayload must get version and length right. It is not known of
	// older kernels with these rules added to them: those still drop the packet.
	ErrRewriteForbidden = errors.New("the kernel drops such a rewrite")

	// ErrUntracked says that a packet has no connection, or none that a verdict
	// could change. With only Config.ConntrackVerdicts set, this cannot
	// be detected for verdicts.
	ErrUntracked = errors.New("the packet is not tracked, or neither Config.Conntrack nor ConntrackVerdicts is set")

	// ErrExpectation refuses an expectation that cannot be used.
	ErrExpectation = errors.New("the expectation cannot be used")

	// ErrNoHelper refuses what needs a connection with a helper, where it has
	// none: an expectation, which the kernel would ignore; and, in a TCP connection
	// that NAT changes, another length of the packet together with a change of the
	// connection, for which kernels print a warning and spoil the connection. Send
	// them in verdicts on different packets, or give the connection a helper before
	// NAT sees it. With only Config.ConntrackVerdicts set, this cannot be
	// detected.
	ErrNoHelper = errors.New("the connection has no helper; give it one by a rule (ct helper set)")

	// ErrNotBridge refuses a VLAN tag or link header for a packet of another
	// family than bridge, where the kernel ignores them.
	ErrNotBridge = errors.New("only a packet of the bridge family can get a VLAN tag or link header")

	// ErrExpired says that a held packet got the fallback of its HoldFor.
	ErrExpired = errors.New("the hold has expired")

	// ErrNoLinkHeader reports a frame that is lost whatever its verdict: with
	// Config.Segment the kernel cuts frames with a VLAN tag on a bridge, and forgets
	// their Ethernet header. Leave Segment off on bridges with VLANs.
	ErrNoLinkHeader = errors.New("the kernel has forgotten the Ethernet header of a VLAN frame that it cut; leave Config.Segment off on this bridge")

	// ErrTooManyHeld is why a packet is not held: there are as many as Config.MaxHeld and
	// MaxHeldBytes allow.
	ErrTooManyHeld = errors.New("too many packets are held; see Config.MaxHeld and MaxHeldBytes")

	// ErrHoldFallback refuses a HoldFor whose fallback does not fit every packet.
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
