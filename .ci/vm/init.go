package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initMain is the machine's only program besides the test. It does not return:
// it turns the machine off.
func initMain() {
	status, err := runJob()
	if err != nil {
		fmt.Println(sayNote + err.Error())
		status = 1
	}
	fmt.Println(sayEnd, status)
	unix.Sync()
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	panic(err) // the end of init is a kernel panic, and that ends the machine
}

// runJob prepares the machine, runs the test and returns its exit status.
func runJob() (status int, err error) {
	if err := mountAll(); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(jobFile)
	if err != nil {
		return 0, err
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		return 0, err
	}
	now := unix.NsecToTimeval(j.Clock)
	if err := unix.Settimeofday(&now); err != nil {
		return 0, os.NewSyscallError("settimeofday", err)
	}
	if err := loadModules(); err != nil {
		return 0, err
	}
	if err := upLoopback(); err != nil {
		return 0, fmt.Errorf("bring lo up: %w", err)
	}

	log, err := openLog()
	if err != nil {
		return 0, err
	}
	fmt.Println(sayBegin + release() + ", up for " + uptime() + " s")
	status, err = runTest(j)
	log.print()
	if b, err := os.ReadFile(coverFile); err == nil {
		fmt.Println(sayCover + base64.StdEncoding.EncodeToString(b))
	}
	return status, err
}

// mountAll mounts what programs expect, and makes the console the standard
// streams.
func mountAll() error {
	for target, fstype := range map[string]string{"/dev": "devtmpfs", "/proc": "proc", "/sys": "sysfs", "/tmp": "tmpfs"} {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fstype, target, fstype, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(console.Fd()), fd, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}

// loadModules loads the modules in their order.
func loadModules() error {
	order, err := os.ReadFile(moduleOrder)
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		f, err := os.Open(moduleDir + "/" + name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return nil
}

func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// runTest runs the test and returns its exit status. Its output goes through a
// pipe, as under go test, and from there to the console as messages.
func runTest(j job) (status int, err error) {
	cmd := exec.Command("/"+testFile, j.Args...)
	cmd.Dir = "/" + workDir
	cmd.Env = append(j.Env, "TMPDIR=/tmp", "HOME=/tmp", "PATH=/"+binDir)
	if j.User {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 5 * time.Second // for processes that the test left behind
	printed := make(chan struct{})
	go func() {
		printLines(r)
		close(printed)
	}()
	err = cmd.Run()
	w.Close()
	<-printed
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		err = fmt.Errorf("the test: %w", err)
	}
	return 0, err
}

// printLines prints each line as a message.
func printLines(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			fmt.Println(sayOutput + strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

// A kernelLog is the kernel's log from a certain moment on.
type kernelLog int

// openLog returns the log from now on.
func openLog() (kernelLog, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("open /dev/kmsg", err)
	}
	_, err = unix.Seek(fd, 0, io.SeekEnd)
	return kernelLog(fd), os.NewSyscallError("seek /dev/kmsg", err)
}

// print prints the log's warnings and worse.
func (l kernelLog) print() {
	const levels, warning = 8, 4
	b := make([]byte, 8<<10)
	for {
		n, err := unix.Read(int(l), b)
		if errors.Is(err, unix.EPIPE) {
			continue // records were overwritten
		}
		if err != nil {
			return
		}
		// priority,number,time,flags;text
		head, text, _ := strings.Cut(string(b[:n]), ";")
		priority := 0
		_, _ = fmt.Sscanf(head, "%d,", &priority)
		if priority%levels <= warning {
			text, _, _ = strings.Cut(text, "\n")
			fmt.Println(sayNote + "kernel: " + text)
		}
	}
}

func uptime() string {
	b, _ := os.ReadFile("/proc/uptime")
	up, _, _ := strings.Cut(string(b), " ")
	return up
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}
