package diagnose

import (
	"runtime"
	"testing"
)

func TestKernelIsAtLeastWhatTheLibraryNeeds(t *testing.T) {
	if got := KernelAtLeast(5, 10); got != (runtime.GOOS == "linux") {
		t.Errorf("at least 5.10: %v", got)
	}
	if KernelAtLeast(1000, 0) {
		t.Error("at least 1000.0")
	}
	if ma, mi := running(); !KernelAtLeast(ma, mi) || KernelAtLeast(ma, mi+1) || KernelAtLeast(ma+1, 0) {
		t.Errorf("the order of versions around %d.%d is wrong", ma, mi)
	}
}
