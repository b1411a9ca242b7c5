package nfqueue

import (
	"math"
	"time"

	"github.com/nfpacket/nfpacket/attr"
)

// appendConntrack appends NFQA_CT. The kernel takes its attributes in an order
// of its own, and stops silently at the first that it cannot use
// (ctnetlink_glue_parse_ct).
func (v *Verdict) appendConntrack(b []byte) []byte {
	start := len(b)
	b = attr.BeginNested(b, attrConntrack)
	if v.has(changeConntrackMark) {
		b = appendMark(b, v.conntrack.mark, v.conntrack.markMask)
	}
	if v.has(changeConntrackLabels) {
		b = appendLabels(b, v.conntrack.labels, v.conntrack.labelsMask)
	}
	if v.has(changeConntrackTimeout) {
		b = appendTimeout(b, v.conntrack.timeout)
	}
	if v.has(changeConntrackStatus) {
		b = appendStatus(b, v.conntrack.status)
	}
	return attr.EndNested(b, start)
}

// appendMark adds to NFQA_CT what sets the bits in mask of the connection's mark to
// those of mark. The kernel exclusive-ors mark over what mask has cleared
// (ctnetlink_change_mark), so bits of mark outside of mask are not sent.
func appendMark(b []byte, mark, mask uint32) []byte {
	b = attr.AppendUint32(b, ctaMark, mark&mask)
	return attr.AppendUint32(b, ctaMarkMask, mask)
}

// appendLabels is appendMark for labels. All 128 bits are sent: the kernel clears
// words that are not (nf_connlabels_replace).
func appendLabels(b []byte, labels, mask attr.ConntrackLabels) []byte {
	for i := range labels {
		labels[i] &= mask[i]
	}
	b = attr.AppendBytes(b, ctaLabels, labels[:])
	return attr.AppendBytes(b, ctaLabelsMask, mask[:])
}

// appendTimeout adds to NFQA_CT how long to keep the connection if no other packet
// arrives, in whole seconds, rounded up. A d below 0 counts as 0.
func appendTimeout(b []byte, d time.Duration) []byte {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return attr.AppendUint32(b, ctaTimeout, uint32(min(max(seconds, 0), math.MaxUint32)))
}

// appendStatus adds to NFQA_CT which of the bits that can be changed the connection is
// to have. The kernel ignores other bits (ctnetlink_update_status).
func appendStatus(b []byte, status attr.ConntrackStatus) []byte {
	return attr.AppendUint32(b, ctaStatus, uint32(status))
}
