//go:build linux

package deploy

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(envProcess) != "" {
		becomeProcess()
	}
	os.Exit(lab.TestMain(m))
}

// needs skips the test on systems without a program.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("there is no %s here", p)
		}
	}
}

// build builds the program by the command of the Dockerfile, and returns its file.
func build(t *testing.T, source, file string, env ...string) string {
	t.Helper()
	needs(t, "go", "sh")
	text, err := os.ReadFile("Dockerfile")
	testkit.Must(t, err)
	line := regexp.MustCompile(`(?m)^#\t(CGO_ENABLED=0 go build .* -o )deploy/accept( .*)$`).FindSubmatch(text)
	cmd := exec.Command("sh", "-c", string(line[1])+`"$0"`+string(line[2]), file)
	cmd.Dir = source
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false"), env...)
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("permission denied")) {
		t.Skipf("the go command's files are to root only: %s", out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// newNet returns a namespace whose packets to UDP port 53 wait for queue 7.
func newNet(t *testing.T) *lab.Net {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	testkit.Must(t, err)
	t.Cleanup(func() { n.Close() })
	out, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	_, err = out.Add(lab.UDP(53), lab.Queue(7))
	testkit.Must(t, err)
	return n
}

// seesPackets starts a program that accepts what comes to queue 7, and waits until
// a packet has passed it.
func seesPackets(t *testing.T, n *lab.Net, cmd *exec.Cmd) {
	t.Helper()
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	testkit.Must(t, n.Do(cmd.Start))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := pass(n)
	cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(testkit.Patience):
		cmd.Process.Kill()
		<-ended
		t.Error("it does not end")
	}
	if err != nil || !strings.Contains(printed.String(), "127.0.0.1:53") {
		t.Errorf("%v; it printed: %s", err, printed.String())
	}
}

// pass sends datagrams until one arrives: before the queue is open they are dropped.
func pass(n *lab.Net) error {
	to, err := n.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := n.Dial("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	defer from.Close()
	b := make([]byte, 10)
	for end := time.Now().Add(testkit.Patience); ; {
		from.Write([]byte("x")) // refused with EPERM while nobody has the queue
		to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, _, err = to.ReadFrom(b); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func TestStaticBinaryAloneSeesPackets(t *testing.T) {
	n := newNet(t)
	root := t.TempDir()
	build(t, "..", filepath.Join(root, "accept"))
	cmd := exec.Command("/accept")
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	seesPackets(t, n, cmd)
	files, err := os.ReadDir(root)
	if err != nil || len(files) != 1 {
		t.Errorf("the root has %v, %v", files, err)
	}
}

func TestProgramIsSmall(t *testing.T) {
	const stated, about = 2.9, 0.3 // MB; which it is depends on Go and dependencies
	file, err := os.Stat(build(t, "..", filepath.Join(t.TempDir(), "accept"), "GOARCH=amd64"))
	testkit.Must(t, err)
	text, err := os.ReadFile("README.md")
	testkit.Must(t, err)
	if got := fmt.Sprintf("`accept` has about %v MB", stated); !strings.Contains(string(text), got) {
		t.Errorf("README.md does not say: %s", got)
	}
	if got := float64(file.Size()) / 1e6; math.Abs(got-stated) > about {
		t.Errorf("accept has %.1f MB, not about %v", got, stated)
	}
}

// The second build is of a copy elsewhere, and finds nothing of the first.
func TestTwoBuildsAreIdentical(t *testing.T) {
	dir := t.TempDir()
	first := build(t, "..", filepath.Join(dir, "first"))
	elsewhere := filepath.Join(dir, "elsewhere")
	testkit.Must(t, copySource("..", elsewhere))
	second := build(t, elsewhere, filepath.Join(dir, "second"), "GOCACHE="+filepath.Join(dir, "cache"))
	a, err := os.ReadFile(first)
	testkit.Must(t, err)
	b, err := os.ReadFile(second)
	testkit.Must(t, err)
	if !bytes.Equal(a, b) {
		t.Errorf("%d and %d bytes, which differ", len(a), len(b))
	}
}

// copySource copies what a build of the module needs.
func copySource(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && name != from {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		if ext := filepath.Ext(name); ext != ".go" && ext != ".mod" && ext != ".sum" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), text, 0o644)
	})
}
