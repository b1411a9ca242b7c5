//go:build linux

package endtoend

import (
	"fmt"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

// Roles are what a test program does as another process of its tests, by the name
// that StartProcess is given.
type Roles map[string]func() error

// Main runs the tests in a lab, and fails if they leave descriptors or goroutines
// behind. In a process that StartProcess has started it does what the role says
// instead. It does not return.
func Main(m *testing.M, roles Roles) {
	if name := os.Getenv(envRole); name != "" {
		os.Exit(play(name, roles[name]))
	}
	os.Exit(lab.TestMain(testkit.WithoutLeaks(m)))
}

// play does what a role says, and returns the exit status.
func play(name string, role func() error) int {
	if role == nil {
		fmt.Printf("error: the test program has no role %q\n", name)
		return 1
	}
	if err := role(); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}
