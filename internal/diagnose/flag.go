package diagnose

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// IsFlag reports whether err is the kernel's refusal of a configuration
// message for a flag: with EOPNOTSUPP, and since 7.2 for one that it does not know
// at all with EINVAL and an explanation.
func IsFlag(err error) bool {
	var e *engine.Error
	return errors.As(err, &e) && (e.Errno == syscall.EOPNOTSUPP || e.Errno == syscall.EINVAL && e.Text != "")
}

// Flag adds to a refusal for a flag the fields of Config that ask for what
// a kernel may lack, if there are any. All but Flags, the last of them, are what
// BestEffort does without.
func Flag(err error, fields []string) error {
	if len(fields) == 0 {
		return err
	}
	see := ""
	if fields[0] != "Flags" {
		see = "; see Config.BestEffort"
	}
	return fmt.Errorf("%w: this kernel lacks what Config.%s asks for%s", err, strings.Join(fields, " or Config."), see)
}
