//go:build linux

package deploy

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// envProcess is set in a process that is to become the one that it describes, and
// then to open a queue.
const envProcess = "NFPACKET_PROCESS"

// A process is one by its privileges.
type process struct {
	UID        int
	Ambient    bool // the capability is in the ambient set
	NoNewPrivs bool
	Binary     string // that it executes
}

func becomeProcess() {
	var p process
	text := os.Getenv(envProcess)
	err := json.Unmarshal([]byte(text), &p)
	if text == "open" {
		err = open()
	} else if err == nil {
		runtime.LockOSThread() // privileges are the thread's, which execve keeps
		err = p.become()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// open opens a queue, and reports that in a word.
func open() error {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 1})
	switch {
	case errors.Is(err, os.ErrPermission):
		fmt.Printf("refused: %v\n", err)
		return nil
	case err != nil:
		return err
	}
	fmt.Println("works")
	return q.Close()
}

// become takes from the thread what the process does not have, and executes the
// binary.
func (p process) become() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c == unix.CAP_NET_ADMIN {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("bounding set: %w", err)
		}
	}
	if p.UID != 0 {
		if err := p.leaveRoot(); err != nil {
			return err
		}
	}
	if p.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	os.Setenv(envProcess, "open")
	return unix.Exec(p.Binary, []string{"process"}, os.Environ())
}

func (p process) leaveRoot() error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	// The system calls themselves: those of package unix change all threads.
	for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
		if _, _, errno := unix.RawSyscall(call, uintptr(p.UID), uintptr(p.UID), uintptr(p.UID)); errno != 0 {
			return errno
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if p.Ambient {
		const bit = 1 << unix.CAP_NET_ADMIN
		data[0] = unix.CapUserData{Effective: bit, Permitted: bit, Inheritable: bit}
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if !p.Ambient {
		return nil
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN, 0, 0)
}

// binaries returns copies of this program that anybody may execute: the first as it
// is, the second with the capability.
func binaries(t *testing.T) (bare, capable string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "deploy")
	testkit.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testkit.Must(t, os.Chmod(dir, 0o755))
	program, err := os.ReadFile("/proc/self/exe")
	testkit.Must(t, err)
	bare, capable = filepath.Join(dir, "bare"), filepath.Join(dir, "capable")
	for _, name := range []string{bare, capable} {
		testkit.Must(t, os.WriteFile(name, program, 0o755))
	}
	// struct vfs_cap_data, VFS_CAP_REVISION_2, as setcap cap_net_admin+ep writes it
	value := binary.LittleEndian.AppendUint32(nil, 0x02000000|1)
	for _, word := range []uint32{1 << unix.CAP_NET_ADMIN, 0, 0, 0} {
		value = binary.LittleEndian.AppendUint32(value, word)
	}
	testkit.Must(t, unix.Setxattr(capable, "security.capability", value, 0))
	return bare, capable
}

func TestCapabilityTable(t *testing.T) {
	lab.Require(t)
	if mapped, err := os.ReadFile("/proc/self/uid_map"); err != nil || len(strings.Fields(string(mapped))) != 3 || strings.Fields(string(mapped))[2] == "1" {
		t.Skip("other users exist to root only")
	}
	bare, capable := binaries(t)
	const nobody = 65534
	for _, row := range []struct {
		name    string
		process process
		works   bool
	}{
		{"user 0, CAP_NET_ADMIN alone, no_new_privs", process{UID: 0, NoNewPrivs: true, Binary: bare}, true},
		{"user 65534, the capability ambient", process{UID: nobody, Ambient: true, Binary: bare}, true},
		{"user 65534, the capability not ambient", process{UID: nobody, Binary: bare}, false},
		{"user 65534, the capability in the bounding set, binary with", process{UID: nobody, Binary: capable}, true},
		{"the same with no_new_privs", process{UID: nobody, NoNewPrivs: true, Binary: capable}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkRow(t, row.name, row.works)
			text, err := json.Marshal(row.process)
			testkit.Must(t, err)
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), envProcess+"="+string(text))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if works := string(out) == "works\n"; works != row.works {
				t.Errorf("works: %v, want %v: %s", works, row.works, out)
			}
		})
	}
}

// checkRow fails the test unless README.md has the row with this result.
func checkRow(t *testing.T, name string, works bool) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	testkit.Must(t, err)
	result := map[bool]string{true: "| works |", false: "| refused |"}[works]
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "| "+name) && strings.HasSuffix(line, result) {
			return
		}
	}
	t.Errorf("README.md has no row %q that ends with %q", name, result)
}
