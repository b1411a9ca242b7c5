package nflog_test

import (
	"math"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
)

// 65535 is what most programs ask for: all that there is.
func TestCopyRangeAboveTheLimitIsTheLimit(t *testing.T) {
	want, err := nflog.Config{}.Bind(5)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint32{65531, 65532, 65535, math.MaxUint32} {
		got, err := nflog.Config{CopyRange: n}.Bind(5)
		if err != nil || string(got.Attrs) != string(want.Attrs) {
			t.Errorf("CopyRange %d: %x, %v; want %x", n, got.Attrs, err, want.Attrs)
		}
	}
	r, _ := open(t, nflog.Config{Groups: []uint16{5}, CopyRange: 65535})
	if g := r.Granted(); g.CopyRange != 65531 {
		t.Errorf("granted is %+v", g)
	}
}
