//go:build linux

package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestImageRunsWithOneCapability(t *testing.T) {
	needs(t, "buildah", "runc")
	n := newNet(t)
	bundle := t.TempDir()
	unpackImage(t, filepath.Join(bundle, "rootfs"))
	if files, err := os.ReadDir(filepath.Join(bundle, "rootfs")); err != nil || len(files) != 1 {
		t.Fatalf("the image has %v, %v", files, err)
	}
	text, err := json.Marshal(bundleConfig(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD())))
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644))

	name := fmt.Sprintf("nfpacket-%d", os.Getpid())
	state := filepath.Join(bundle, "state")
	t.Cleanup(func() { exec.Command("runc", "--root", state, "delete", "--force", name).Run() })
	seesPackets(t, n, exec.Command("runc", "--root", state, "run", "--bundle", bundle, name))
}

// envBuilt names the program, in the process of an ordinary user.
const envBuilt = "NFPACKET_BUILT"

// An ordinary user, who has no more than a user namespace, builds the image and runs
// it: the test above, as that user.
func TestImageRunsRootless(t *testing.T) {
	needs(t, "buildah", "runc")
	lab.Require(t)
	const uid = 65534
	dir, err := os.MkdirTemp("", "rootless") // others may not enter t.TempDir
	testkit.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := build(t, "..", filepath.Join(dir, "built"))
	text, err := os.ReadFile("Dockerfile")
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), text, 0o644))
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Skipf("only root becomes an ordinary user: %v", err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run", "^TestImageRunsWithOneCapability$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "TMPDIR=" + dir, envBuilt + "=" + program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	case err != nil || !bytes.Contains(out, []byte("--- PASS")):
		t.Errorf("%v: %s", err, out)
	}
}

// unpackImage builds the image and unpacks its layers.
func unpackImage(t *testing.T, to string) {
	t.Helper()
	dir := t.TempDir()
	if built := os.Getenv(envBuilt); built != "" {
		content, err := os.ReadFile(built)
		testkit.Must(t, err)
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "accept"), content, 0o755))
	} else {
		build(t, "..", filepath.Join(dir, "accept"))
	}
	dockerfile, err := os.ReadFile("Dockerfile")
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), dockerfile, 0o644))
	store := []string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "store"), "--runroot", filepath.Join(dir, "run")}
	for _, args := range [][]string{
		{"bud", "--isolation", "chroot", "-t", "accept", dir},
		{"push", "accept", "dir:" + filepath.Join(dir, "image")},
	} {
		cmd := exec.Command("buildah", append(store, args...)...)
		if os.Getenv(envBuilt) != "" { // root of a user namespace needs no other
			cmd.Env = append(os.Environ(), "_CONTAINERS_USERNS_CONFIGURED=done", "_CONTAINERS_ROOTLESS_UID=65534")
		}
		out, err := cmd.CombinedOutput()
		if bytes.Contains(out, []byte("user namespace")) || bytes.Contains(out, []byte("ermission denied")) {
			t.Skipf("buildah works here to root only: %s", out)
		}
		if err != nil {
			t.Fatalf("buildah %v: %v: %s", args, err, out)
		}
	}
	var manifest struct{ Layers []struct{ Digest string } }
	text, err := os.ReadFile(filepath.Join(dir, "image", "manifest.json"))
	testkit.Must(t, err)
	testkit.Must(t, json.Unmarshal(text, &manifest))
	for _, l := range manifest.Layers {
		unpackLayer(t, filepath.Join(dir, "image", strings.TrimPrefix(l.Digest, "sha256:")), to)
	}
}

// unpackLayer unpacks the files of a layer.
func unpackLayer(t *testing.T, layer, to string) {
	t.Helper()
	f, err := os.Open(layer)
	testkit.Must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	testkit.Must(t, err)
	testkit.Must(t, os.MkdirAll(to, 0o755))
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if err == io.EOF {
			return
		}
		testkit.Must(t, err)
		if h.Typeflag == tar.TypeReg {
			content, err := io.ReadAll(files)
			testkit.Must(t, err)
			testkit.Must(t, os.WriteFile(filepath.Join(to, filepath.Clean("/"+h.Name)), content, os.FileMode(h.Mode)))
		}
	}
}

// bundleConfig returns what runc reads: the program with one capability, as the
// DaemonSet has it, in the network namespace of a file.
func bundleConfig(netns string) map[string]any {
	one := []string{"CAP_NET_ADMIN"}
	return map[string]any{
		"ociVersion": "1.0.2",
		"root":       map[string]any{"path": "rootfs", "readonly": true},
		"process": map[string]any{
			"args": []string{"/accept"}, "cwd": "/", "user": map[string]any{"uid": 0, "gid": 0},
			"capabilities":    map[string]any{"bounding": one, "effective": one, "permitted": one},
			"noNewPrivileges": true,
		},
		// What runc itself needs; the program does not.
		"mounts": []any{map[string]any{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux": map[string]any{"namespaces": []any{
			map[string]any{"type": "pid"}, map[string]any{"type": "mount"}, map[string]any{"type": "ipc"},
			map[string]any{"type": "uts"}, map[string]any{"type": "network", "path": netns},
		}},
	}
}
