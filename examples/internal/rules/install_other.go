//go:build !linux

package rules

import (
	"errors"
	"fmt"
)

func install(Set, string) error {
	return fmt.Errorf("rules: netfilter is part of Linux: %w", errors.ErrUnsupported)
}
