package nfnl

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// release returns the version of the running kernel, or 0, 0.
func release() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	}
	return major, minor
}
