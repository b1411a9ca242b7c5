//go:build linux

package faults

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
)

func TestMain(m *testing.M) {
	endtoend.Main(m, endtoend.Roles{
		"taker":     take3,
		"stranger":  openAsStranger,
		"opener":    handOverSockets,
		"marker":    mark3,
		"holder":    holdAll3,
		"lister":    listDescriptors,
		"frugal":    workInLittleMemory,
		"starving":  starve,
		"powerless": useWithoutPrivilege,
		"elsewhere": enterElsewhere,
		"confined":  tellUserNamespace,
		"panicky":   panicInTimer,
		"denied":    logWithoutACall,
		"procless":  showWithoutProc,
		"user":      showKernel,
	})
}
