package diagnose

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// running returns the version of the running kernel, or 0, 0.
func running() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	}
	return major, minor
}
