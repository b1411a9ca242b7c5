package nfnl_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/nfnl"
)

func TestOverrunErrorSaysHowManyWereLost(t *testing.T) {
	for want, err := range map[string]error{
		"3 packets lost: ":                      &nfnl.OverrunError{Lost: 3},
		"3 packets let through uninspected: ":   &nfnl.OverrunError{Lost: 3, Bypassed: true},
		"3 packets dropped: the queue was full": &nfnl.OverrunError{Lost: 3, Full: true},
	} {
		if got := err.Error(); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
		if !errors.Is(err, syscall.ENOBUFS) {
			t.Errorf("%v does not match ENOBUFS", err)
		}
	}
}
