package lab

import (
	"errors"
	"fmt"
	"os"
)

// envKernel names the environment variable that, set to "require", turns tests
// skipped for want of a lab into failures, so that a green run on a machine
// meant to have one cannot be an empty run.
const envKernel = "NFPACKET_KERNEL"

// errUnavailable says why this process is not in a lab; nil once it is.
var errUnavailable = errors.New("lab: the package's TestMain does not call lab.TestMain")

// TB is the part of [testing.TB] that [Require] uses.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// TestMain enters a lab with [Enter], runs m there and returns the exit status.
// Where the system forbids labs it runs m all the same, and the tests that call
// [Require] are skipped; with NFPACKET_KERNEL=require in the environment it
// prints the reason and returns 1 instead.
func TestMain(m interface{ Run() int }) int {
	errUnavailable = Enter()
	if errUnavailable != nil && kernelRequired() {
		fmt.Fprintln(os.Stderr, errUnavailable)
		return 1
	}
	return m.Run()
}

// Require skips the test, naming the reason, when [TestMain] found no lab. With
// NFPACKET_KERNEL=require in the environment it fails the test instead.
func Require(t TB) {
	t.Helper()
	if errUnavailable == nil {
		return
	}
	if kernelRequired() {
		t.Fatalf("%v", errUnavailable)
	}
	t.Skipf("%v", errUnavailable)
}

func kernelRequired() bool { return os.Getenv(envKernel) == "require" }
