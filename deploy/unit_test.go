//go:build linux

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestUnitIsValidAndConfined(t *testing.T) {
	needs(t, "systemd-analyze")
	text, err := os.ReadFile("accept.service")
	testkit.Must(t, err)
	const installed = "/usr/local/bin/accept"
	if !strings.Contains(string(text), "ExecStart="+installed+"\n") {
		t.Fatalf("the unit does not start %s", installed)
	}
	unit := filepath.Join(t.TempDir(), "accept.service")
	testkit.Must(t, os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), installed, "/bin/true")), 0o644))
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v: %s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("security: %v: %s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for accept.service: ([0-9.]+) `).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no rating: %s", out)
	}
	rating, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || rating > 1.3 {
		t.Errorf("the rating is %s, README.md says 1.3", m[1])
	}
}
