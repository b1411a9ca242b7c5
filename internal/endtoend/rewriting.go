//go:build linux

package endtoend

import (
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// RestrictsRewrites reports whether the kernel has the rules of Linux 7.2 for rewrites.
func RestrictsRewrites() bool { return diagnose.KernelAtLeast(7, 2) }

// InUserNamespace reports whether the tests, and so their network namespaces, are in
// a user namespace other than the first.
func InUserNamespace(t testing.TB) bool {
	t.Helper()
	lab.Require(t)
	owner, err := os.Readlink("/proc/self/ns/user")
	testkit.Must(t, err)
	return owner != "user:[4026531837]" // PROC_USER_INIT_INO
}

// ForbidsRewrites reports whether the kernel lets nothing be rewritten in the
// namespaces of the tests.
func ForbidsRewrites(t testing.TB) bool { return RestrictsRewrites() && InUserNamespace(t) }

// NeedRewriting skips the test where nothing can be rewritten, as
// TestKernelDropsTheRewritesThatAreRefused shows.
func NeedRewriting(t testing.TB) {
	t.Helper()
	if ForbidsRewrites(t) {
		t.Skip("this kernel lets nothing be rewritten in a user namespace")
	}
}
