package kernelversion

import (
	"runtime"
	"testing"
)

func TestKernelIsAtLeastWhatTheLibraryNeeds(t *testing.T) {
	if got := AtLeast(5, 10); got != (runtime.GOOS == "linux") {
		t.Errorf("at least 5.10: %v", got)
	}
	if AtLeast(1000, 0) {
		t.Error("at least 1000.0")
	}
	if ma, mi := running(); !AtLeast(ma, mi) || AtLeast(ma, mi+1) || AtLeast(ma+1, 0) {
		t.Errorf("the order of versions around %d.%d is wrong", ma, mi)
	}
}
