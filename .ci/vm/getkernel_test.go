package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// get runs getkernel with that archive and cache, and returns what it says was
// taken, or its exit status.
func get(t *testing.T, a *archive, cache string, args ...string) string {
	t.Helper()
	cmd := exec.Command("./getkernel", args...)
	cmd.Env = append(os.Environ(), "NFPACKET_DEBIAN="+a.uri(), "XDG_CACHE_HOME="+cache, "GOCACHE="+goEnv(t, "GOCACHE"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	t.Log(stderr.String())
	if err != nil {
		return err.Error()
	}
	folder, taken, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	for _, name := range []string{"vmlinuz", "modules.cpio", "version"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	return taken
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// Each way to a kernel is tried when those before it are closed.
func TestGetKernelTakesWhatCanBeHad(t *testing.T) {
	const none = "exit status 3"
	for _, tt := range []struct {
		name    string
		archive func(*archive)
		suites  []string // an alternative is the second
		want    string
	}{
		{"the newest of the suite", func(a *archive) {
			a.suite(t, "new", "6.2", "6.10")
		}, []string{"new"}, "6.10-cloud-amd64"},
		{"not one newer than the suite names", func(a *archive) {
			a.suite(t, "new", "7.1", "6.10")
		}, []string{"new"}, "6.10-cloud-amd64"},
		{"an older one of the same index", func(a *archive) {
			a.suite(t, "new", "6.2", "6.9", "6.10")
			a.lose(t, "6.10")
		}, []string{"new"}, "6.9-cloud-amd64, of new, not 6.10-cloud-amd64"},
		{"of the suite's updates", func(a *archive) {
			a.suite(t, "new", "6.10")
			a.suite(t, "new-updates", "6.11")
			a.lose(t, "6.10")
		}, []string{"new"}, "6.11-cloud-amd64, of new-updates"},
		{"of the suite's security updates", func(a *archive) {
			a.suite(t, "new", "6.10")
			a.suite(t, "new-security", "6.12")
			a.lose(t, "6.10")
		}, []string{"new"}, "6.12-cloud-amd64, of new-security"},
		{"of an alternative", func(a *archive) {
			a.suite(t, "new", "6.10")
			a.suite(t, "old", "6.1")
			a.lose(t, "6.10")
		}, []string{"new", "old"}, "6.1-cloud-amd64, of old"},
		{"the suite has left the archive", func(a *archive) {
			a.suite(t, "old", "6.1")
		}, []string{"new", "old"}, "6.1-cloud-amd64, of old"},
		{"the index is not what the Release file says", func(a *archive) {
			a.suite(t, "new", "6.10")
			a.suite(t, "old", "6.1")
			a.outgrow(t, "new")
		}, []string{"new", "old"}, "6.1-cloud-amd64, of old"},
		{"no file and no alternative", func(a *archive) {
			a.suite(t, "new", "6.10")
			a.suite(t, "old", "6.1")
			a.lose(t, "6.10")
		}, []string{"new"}, none},
		{"no archive", func(a *archive) {}, []string{"new", "old"}, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newArchive(t, "amd64", "cloud-amd64")
			tt.archive(a)
			args := append([]string{tt.suites[0], "amd64"}, tt.suites[1:]...)
			if got := get(t, a, t.TempDir(), args...); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGetKernelKeepsTheLastForAnArchiveThatDoesNotAnswer(t *testing.T) {
	a, cache := newArchive(t, "amd64", "cloud-amd64"), t.TempDir()
	a.suite(t, "new", "6.10")
	get(t, a, cache, "new", "amd64")
	a.lose(t, "6.10")
	if got, want := get(t, a, cache, "new", "amd64"), "6.10-cloud-amd64"; got != want {
		t.Errorf("when only the file is gone: %q, want %q", got, want)
	}
	must(t, os.RemoveAll(a.root))
	if got, want := get(t, a, cache, "new", "amd64", "old"), "6.10-cloud-amd64, of new, from the cache"; got != want {
		t.Errorf("when the archive is gone: %q, want %q", got, want)
	}
}
