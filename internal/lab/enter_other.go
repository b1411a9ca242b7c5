//go:build !linux

package lab

import (
	"errors"
	"fmt"
	"runtime"
)

// Enter reports that labs exist on Linux only; the error wraps
// [errors.ErrUnsupported].
func Enter() error {
	return fmt.Errorf("lab: no network namespaces on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
