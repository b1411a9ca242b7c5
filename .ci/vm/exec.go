package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machines has the emulator for each architecture, and the kernel parameters
// for it: the device that is its console. All emulate in software: what KVM can
// do differs from host to host, and the kernels here boot in seconds without it.
//
// -cx16 keeps amd64 kernels from cmpxchg16b, which older emulators get wrong.
// no_timer_check keeps them from giving up on interrupts when a busy host lets
// the emulator miss some.
var machines = map[string]struct {
	qemu   []string
	append string
}{
	"amd64": {[]string{"qemu-system-x86_64", "-M", "q35", "-cpu", "qemu64,-cx16"}, "console=ttyS0 no_timer_check"},
	"arm64": {[]string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"}, "console=ttyAMA0"},
	"arm":   {[]string{"qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15"}, "console=ttyAMA0"},
	"s390x": {[]string{"qemu-system-s390x", "-M", "s390-ccw-virtio"}, "console=ttysclp0"},
}

// passedOn are the variables of the environment that tests see in the machine.
var passedOn = []string{"NFPACKET_KERNEL", "GODEBUG", "GOMAXPROCS", "GOTRACEBACK"}

// execTest runs a test binary as the only program of a machine, and returns its
// exit status.
func execTest(args []string) (status int, err error) {
	flags := flag.NewFlagSet("vm exec", flag.ExitOnError)
	arch := flags.String("arch", "", "GOARCH of the kernel")
	kernel := flags.String("kernel", "", "folder with vmlinuz and modules.cpio")
	initProgram := flags.String("init", "", "this program, built for the kernel")
	smp := flags.Int("smp", 1, "processors")
	memory := flags.Int("memory", 512, "memory in MiB")
	user := flags.Bool("user", false, "run the test as an ordinary user")
	parameter := flags.String("append", "", "a kernel parameter")
	with := flags.String("with", "", "programs of this machine for the test, separated by commas")
	_ = flags.Parse(args) // exits on an error
	machine, ok := machines[*arch]
	if !ok {
		return 0, fmt.Errorf("no machine for -arch %q: add it to machines in exec.go", *arch)
	}
	if flags.NArg() == 0 {
		return 0, errors.New("exec needs a test binary")
	}

	test := parseTestFlags(flags.Args()[1:])
	if *with != "" && *arch != runtime.GOARCH {
		return 0, fmt.Errorf("-with=%s: programs of this machine are for %s, not %s", *with, runtime.GOARCH, *arch)
	}
	initrd, err := makeInitrd(flags.Arg(0), *initProgram, *kernel, *with, job{
		Args:  test.args,
		Env:   environment(),
		User:  *user,
		Clock: time.Now().UnixNano(),
	})
	if err != nil {
		return 0, err
	}
	defer initrd.Close()

	cmd := exec.Command(machine.qemu[0], append(machine.qemu[1:],
		"-accel", "tcg", "-nodefaults", "-no-reboot", "-nographic", "-serial", "stdio",
		"-smp", strconv.Itoa(*smp), "-m", strconv.Itoa(*memory),
		"-kernel", filepath.Join(*kernel, "vmlinuz"), "-initrd", "/proc/self/fd/3",
		// An oops becomes a panic, and with -no-reboot the panic the end of
		// the machine. Only what ends it may cut into the test's output.
		"-append", machine.append+" quiet loglevel=1 oops=panic panic=-1 "+*parameter)...)
	cmd.ExtraFiles = []*os.File{initrd} // descriptor 3
	cmd.Stderr = os.Stderr
	return runMachine(cmd, test)
}

// runMachine runs the emulator and returns the status of the test in it.
func runMachine(cmd *exec.Cmd, test testFlags) (status int, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	// The emulator ends with this process, also if go test kills it; that is,
	// with this thread.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w: .ci/vm/getqemu installs it", err)
	}
	deadline := time.AfterFunc(test.deadline, func() {
		_ = cmd.Process.Kill() // fails only when it has ended
	})
	c := console{out: os.Stdout, verbose: test.verbose}
	readErr := c.read(out)
	late := !deadline.Stop()
	if readErr != nil {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait() // the emulator's status says nothing about the test
	switch {
	case readErr != nil:
		return 0, readErr
	case late && !c.ended:
		return 0, fmt.Errorf("the machine did not end within %v, %s", test.deadline, c.lastWords())
	case !c.ended:
		return 0, fmt.Errorf("the machine ended without a result (%v) %s", cmd.ProcessState, c.lastWords())
	}
	if test.cover != "" && c.cover != nil {
		if err := os.WriteFile(test.cover, c.cover, 0o644); err != nil {
			return 0, err
		}
	}
	return c.status, nil
}

// testFlags is what matters here of the flags that go test gives to a test.
type testFlags struct {
	args     []string // for the test in the machine
	verbose  bool
	cover    string // where the coverage profile is to go; empty for none
	deadline time.Duration
}

// parseTestFlags replaces the flags that name files of the host, and has the
// test be verbose, so that it is known which test a machine died in.
func parseTestFlags(args []string) testFlags {
	// The machine needs some time to boot. A minute after a test's time is up
	// go test kills it.
	const boot = 45 * time.Second
	t := testFlags{args: []string{"-test.v=true"}, deadline: 10*time.Minute + boot}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "-test.v":
			t.verbose = true
		case "-test.coverprofile":
			t.cover, arg = value, name+"="+coverFile
		case "-test.gocoverdir", "-test.outputdir":
			arg = name + "=" + path.Dir(coverFile)
		case "-test.testlogfile":
			continue
		case "-test.timeout":
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				t.deadline = d + boot
			}
		}
		t.args = append(t.args, arg)
	}
	return t
}

func environment() (env []string) {
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// makeInitrd returns a file without a name, which holds the kernel's modules,
// the two programs, the job, and what is below the working directory.
func makeInitrd(test, initProgram, kernel, with string, j job) (*os.File, error) {
	modules, err := os.ReadFile(filepath.Join(kernel, "modules.cpio"))
	if err != nil {
		return nil, err
	}
	var c cpio
	for name, from := range map[string]string{initName[1:]: initProgram, testFile: test} {
		b, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		c.file(name, 0o755, b)
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	c.file(jobFile, 0o644, b)
	if err := addWorkingDir(&c); err != nil {
		return nil, err
	}
	if with != "" {
		if err := addPrograms(&c, with); err != nil {
			return nil, err
		}
	}

	f, err := os.CreateTemp("", "initrd")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	for _, part := range [][]byte{modules, c.bytes()} {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// addWorkingDir adds the files below the working directory, which under go test
// is the folder of the package: its testdata, and source that a test may read.
func addWorkingDir(c *cpio) error {
	c.dir(workDir)
	return filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // git's, CI's
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(name)
		if err == nil {
			c.file(path.Join(workDir, name), 0o644, b)
		}
		return err
	})
}
