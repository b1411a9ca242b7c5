package nfqueue

import (
	"errors"
	"fmt"
	"net"

	"github.com/nfpacket/nfpacket/nfnl"
)

var (
	// ErrTaken is why Open fails when another socket has the queue. Such an
	// error also matches os.ErrPermission, for that is how the kernel says it. A
	// program that was killed has the queue until it is gone, some milliseconds
	// later: who is to take its place tries again.
	ErrTaken = errors.New("another socket has it")

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
	// where TCP packets are longer than any CopyRange, lower the MTU to 32000.
	ErrTruncated = errors.New("the packet was cut by Config.CopyRange and cannot be rewritten; raise it (on lo, lower the MTU to 32000)")

	// ErrGSO refuses a payload for a UDP packet that the kernel is yet to cut
	// into segments, where no payload would arrive whole: one of another length, any
	// at the hooks prerouting and input, and any on kernels before 6.12, of which
	// some panic. Set Config.Segment.
	ErrGSO = errors.New("a UDP GSO packet can only be rewritten to the same length, not at the hooks prerouting and input, and from kernel 6.12 on; set Config.Segment")

	// ErrCorrupt refuses to rewrite a packet whose checksum was wrong when it
	// came: finishing it would make the damage look right.
	ErrCorrupt = errors.New("the packet's checksum was wrong before the rewrite")

	// ErrPayload refuses a payload, VLAN tag or link header that cannot be used.
	ErrPayload = errors.New("the new packet cannot be used")

	// ErrRewriteForbidden refuses a payload that the kernel would drop without a word.
	// From Linux 7.2 on packets can be rewritten only where the network namespace
	// belongs to the system's first user namespace, and only those of the families
	// IPv4 and IPv6. The length of the header, options, the next header, extension
	// headers and the fragment fields, but for "don't fragment", must stay as they
	// are, and WithRawPayload must get version and length right. It is not known of
	// older kernels with these rules added to them: those still drop the packet.
	ErrRewriteForbidden = errors.New("the kernel drops such a rewrite (Linux 7.2 and later)")

	// ErrUntracked says that a packet has no connection, or none that a verdict
	// could change. With Config.ConntrackVerdicts alone it is not known of a verdict.
	ErrUntracked = errors.New("the packet is not tracked, or neither Config.Conntrack nor ConntrackVerdicts is set")

	// ErrExpectation refuses an expectation that cannot be used.
	ErrExpectation = errors.New("the expectation cannot be used")

	// ErrNoHelper refuses an expectation for a connection without a helper, where
	// the kernel ignores it.
	ErrNoHelper = errors.New("the connection has no helper, which it needs for an expectation; give it one by a rule (ct helper set)")

	// ErrNotBridge refuses a VLAN tag or link header for a packet of another
	// family than bridge, where the kernel ignores them.
	ErrNotBridge = errors.New("only a packet of the bridge family can get a VLAN tag or link header")

	// ErrExpired says that a held packet got the fallback of its HoldFor.
	ErrExpired = errors.New("the hold has expired")

	// ErrTooManyHeld is why a packet is not held: there are as many as Config.MaxHeld and
	// MaxHeldBytes allow.
	ErrTooManyHeld = errors.New("too many packets are held; see Config.MaxHeld and MaxHeldBytes")

	// ErrHoldFallback refuses a HoldFor whose fallback does not fit every packet.
	ErrHoldFallback = errors.New("the fallback of HoldFor is Hold, or fits one packet only")

	errNoHeader = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)

	// errNoQueue is what a Ticket of no queue says, such as the zero one.
	errNoQueue = fmt.Errorf("nfqueue: the packet did not come from an open queue: %w", net.ErrClosed)

	// These are mistakes in the program, which it cannot do anything about.
	errForeignBatch = errors.New("the Batch was not made by NewBatch of this queue")
	errNoHandler    = errors.New("nfqueue: Run needs a Handler, not nil")
)
