package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An archive is a Debian archive of kernels for one architecture in a folder,
// without signatures. The archive of security updates is the folder beside it.
type archive struct{ root, arch, flavour string }

// pool is the folder of all packages.
const pool = "pool"

func newArchive(t *testing.T, arch, flavour string) *archive {
	for _, program := range []string{"apt-get", "dpkg-deb", "flock"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	a := &archive{filepath.Join(t.TempDir(), "debian"), arch, flavour}
	must(t, os.MkdirAll(a.root+"-security", 0o755))
	return a
}

func (a *archive) uri() string { return "file:" + a.root }

// suite writes the index of a suite with kernels of these versions; that with the
// last is what the suite names as its own.
func (a *archive) suite(t *testing.T, name string, versions ...string) {
	t.Helper()
	var index strings.Builder
	for _, v := range versions {
		index.WriteString(a.entry(t, a.image(v), v, ""))
	}
	newest := versions[len(versions)-1]
	index.WriteString(a.entry(t, "linux-image-"+a.flavour, newest, a.image(newest)))
	packages := []byte(index.String())
	writeFile(t, filepath.Join(a.suiteDir(name), a.index()), packages)
	release := fmt.Sprintf("Origin: Debian\nSuite: %s\nCodename: %s\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nComponents: main\nArchitectures: %s\nSHA256:\n %x %d %s\n",
		name, name, a.arch, sha256.Sum256(packages), len(packages), a.index())
	writeFile(t, filepath.Join(a.suiteDir(name), "Release"), []byte(release))
}

// image returns the name of the package with a kernel.
func (a *archive) image(version string) string { return "linux-image-" + version + "-" + a.flavour }

// index returns where a suite has its index.
func (a *archive) index() string { return "main/binary-" + a.arch + "/Packages" }

func (a *archive) suiteDir(name string) string {
	if strings.HasSuffix(name, "-security") {
		return filepath.Join(a.root+"-security", "dists", name)
	}
	return filepath.Join(a.root, "dists", name)
}

// entry makes a package and returns what the index says about it.
func (a *archive) entry(t *testing.T, name, version, depends string) string {
	t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: none <none@invalid>\nDescription: a kernel\n", name, version, a.arch)
	if depends != "" {
		control += "Depends: " + depends + "\n"
	}
	file := filepath.Join(pool, name+".deb")
	b := a.build(t, file, control)
	return fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, file, len(b), sha256.Sum256(b))
}

// build puts a package into both archives: a kernel with every module of the list
// built in.
func (a *archive) build(t *testing.T, file, control string) []byte {
	t.Helper()
	tree := t.TempDir()
	list, err := os.ReadFile("modules")
	must(t, err)
	writeFile(t, filepath.Join(tree, "DEBIAN/control"), []byte(control))
	writeFile(t, filepath.Join(tree, "boot/vmlinuz"), []byte(control))
	writeFile(t, filepath.Join(tree, "lib/modules/modules.builtin"), []byte(strings.ReplaceAll(string(list), "?", "")))
	deb := filepath.Join(t.TempDir(), "deb")
	out, err := exec.Command("dpkg-deb", "-Znone", "-b", tree, deb).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	b, err := os.ReadFile(deb)
	must(t, err)
	writeFile(t, filepath.Join(a.root, file), b)
	writeFile(t, filepath.Join(a.root+"-security", file), b)
	return b
}

// lose takes the kernels of these versions out of the archive; the index still
// names them.
func (a *archive) lose(t *testing.T, versions ...string) {
	t.Helper()
	for _, v := range versions {
		for _, root := range []string{a.root, a.root + "-security"} {
			must(t, os.Remove(filepath.Join(root, pool, a.image(v)+".deb")))
		}
	}
}

// outgrow gives a suite's index another size than its Release file says.
func (a *archive) outgrow(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(a.suiteDir(name), a.index()), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("\n")
	must(t, err)
	must(t, f.Close())
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, b, 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
