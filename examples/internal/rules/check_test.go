//go:build linux

package rules

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestMain(m *testing.M) {
	if os.Getenv("NFPACKET_INSTALL") != "" {
		installAndWait()
	}
	os.Exit(lab.TestMain(m))
}

// installAndWait is what a program does with -install; it never ends by itself.
func installAndWait() {
	if err := install(Set{"installed", []Rule{Log(5).Match("udp dport 9")}}, ""); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("installed")
	select {}
}

// needs skips the test on systems without a program.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("there is no %s here, whose word is asked", program)
	}
}

// inside runs a program in a namespace of its own and returns what it printed.
func inside(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	lab.Require(t)
	n, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	return out.String(), err
}

// A kernel may lack nft's queue statement; that nft could send it to the kernel
// shows that it is well formed.
func TestNftTakesEveryRule(t *testing.T) {
	needs(t, "nft")
	for _, r := range all.Rules {
		text := Set{all.Table, []Rule{r}}.NFT(true)
		out, err := inside(t, text, "nft", "-c", "-f", "-")
		if r.action == queues && strings.Contains(out, "Could not process rule: No such file or directory") {
			continue
		}
		if err != nil || out != "" {
			t.Errorf("nft -c: %v, %s\n%s", err, out, text)
		}
	}
}

func TestIptablesTakesEveryRule(t *testing.T) {
	needs(t, "iptables-restore")
	needs(t, "ip6tables-restore")
	text, err := all.restore()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"iptables-restore", "ip6tables-restore"} {
		if out, err := inside(t, text, program, "--test"); err != nil {
			t.Errorf("%s --test: %v, %s\n%s", program, err, out, text)
		}
	}
}

// startInstaller starts a program with -install in the namespace.
func startInstaller(t *testing.T, n *lab.Net) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NFPACKET_INSTALL=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	b := make([]byte, 1000)
	if l, err := out.Read(b); err != nil || string(b[:l]) != "installed\n" {
		t.Fatalf("the program says %q, %v", b[:l], err)
	}
	return cmd
}

// tables returns what nft lists in the namespace.
func tables(t *testing.T, n *lab.Net) string {
	t.Helper()
	var out []byte
	err := n.Do(func() (err error) {
		out, err = exec.Command("nft", "list", "tables").CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestInstalledRulesWorkAndVanishWithAKilledProgram(t *testing.T) {
	needs(t, "nft")
	lab.Require(t)
	n, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}, Socket: nfnl.Config{NetNS: n.FD()}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	program := startInstaller(t, n)

	if err := sendTo9(n); err != nil {
		t.Fatal(err)
	}
	for p, err := range r.Packets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.String(), "127.0.0.1:9") {
			t.Errorf("logged %v", p)
		}
		break
	}

	program.Process.Kill()
	program.Wait()
	for end := time.Now().Add(20 * time.Second); tables(t, n) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the program is gone, its table is not: %s", tables(t, n))
		}
	}
}

func sendTo9(n *lab.Net) error {
	c, err := n.Dial("udp", "127.0.0.1:9")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

// What an older nft says of the flag is passed on, with what to do instead.
func TestRefusedRulesAreReported(t *testing.T) {
	needs(t, "nft")
	lab.Require(t)
	n, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	err = n.Do(func() error {
		return install(Set{"bad", []Rule{Drop().Match("no such term")}}, "")
	})
	if err == nil || !strings.Contains(err.Error(), "-rules prints") {
		t.Errorf("error %v", err)
	}
	if got := tables(t, n); strings.Contains(got, "bad") {
		t.Errorf("left behind: %s", got)
	}
}

func TestMissingNftIsReported(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := install(all, ""); !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "-rules prints") {
		t.Errorf("error %v", err)
	}
}

func TestRulesAreInstalledInAnotherNamespace(t *testing.T) {
	needs(t, "nft")
	needs(t, "nsenter")
	lab.Require(t)
	n, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	there := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD())
	if err := install(Set{"nfpacket_there", []Rule{Log(5)}}, there); err != nil {
		t.Fatal(err)
	}
	if got := tables(t, n); !strings.Contains(got, "nfpacket_there") {
		t.Errorf("tables: %q", got)
	}
}
