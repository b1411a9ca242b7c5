package attr

import (
	"math"
	"time"
)

// The attributes that say which bits of others to change, enum ctattr_type.
const (
	ctaMarkMask   = 21 // CTA_MARK_MASK
	ctaLabelsMask = 23 // CTA_LABELS_MASK
)

// AppendConntrackMark adds to the nest of a verdict what sets the bits in mask
// of the connection's mark to those of mark. The kernel exclusive-ors mark over
// what mask has cleared (ctnetlink_change_mark), so bits of mark outside of
// mask are not sent.
func AppendConntrackMark(b []byte, mark, mask uint32) []byte {
	b = AppendUint32(b, ctaMark, mark&mask)
	return AppendUint32(b, ctaMarkMask, mask)
}

// AppendConntrackLabels is AppendConntrackMark for labels. All 128 bits are
// sent: the kernel clears words that are not (nf_connlabels_replace).
func AppendConntrackLabels(b []byte, labels, mask ConntrackLabels) []byte {
	for i := range labels {
		labels[i] &= mask[i]
	}
	b = AppendBytes(b, ctaLabels, labels[:])
	return AppendBytes(b, ctaLabelsMask, mask[:])
}

// AppendConntrackTimeout adds to the nest of a verdict for how long to keep the
// connection if no other packet comes, in whole seconds, rounded up. A d below 0
// is taken for 0.
func AppendConntrackTimeout(b []byte, d time.Duration) []byte {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return AppendUint32(b, ctaTimeout, uint32(min(max(seconds, 0), math.MaxUint32)))
}

// AppendConntrackStatus adds to the nest of a verdict which of the bits that can
// be changed the connection is to have. The kernel ignores other bits
// (ctnetlink_update_status).
func AppendConntrackStatus(b []byte, status ConntrackStatus) []byte {
	return AppendUint32(b, ctaStatus, uint32(status))
}
