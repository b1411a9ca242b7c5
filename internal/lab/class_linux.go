package lab

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// InClass calls f in a control group of the given network class (net_cls), which
// sockets that f makes belong to for life. f runs in another goroutine, which it
// must not leave. The error wraps [errors.ErrUnsupported] if the kernel has no
// such classes, or does not let this process mount them.
func InClass(class uint32, f func() error) error {
	return wrap(doomed(func() error { return inClass(class, f) }), "network class %#x", class)
}

// doomed calls f on a thread that ends with it, and all that the thread alone
// has too. That is not the first thread, which does not end, and with whose
// group the kernel changes the class of all sockets (update_classid_task).
func doomed(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- doomed(f)
			return
		}
		done <- f()
	}()
	return <-done
}

func inClass(class uint32, f func() error) (err error) {
	root, err := mountClasses()
	if err != nil {
		return err
	}
	group := path.Join(root, fmt.Sprintf("nfpacket-%d-%d", os.Getpid(), serial.Add(1)))
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	join := func(dir string) error {
		return os.WriteFile(path.Join(dir, "tasks"), fmt.Append(nil, unix.Gettid()), 0)
	}
	defer func() {
		err = errors.Join(err, join(root), os.Remove(group))
	}()
	if err := os.WriteFile(path.Join(group, "net_cls.classid"), fmt.Append(nil, class), 0); err != nil {
		return err
	}
	if err := join(group); err != nil {
		return err
	}
	return f()
}

// mountClasses mounts the network classes where the calling thread alone sees
// them, and returns where that is.
func mountClasses() (root string, err error) {
	root = "/sys/fs/cgroup" // a folder that is there, whatever is in it
	err = unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("lab", root, "cgroup", 0, "net_cls")
	}
	if errors.Is(err, unix.EBUSY) { // mounted elsewhere, together with another controller
		err = unix.Mount("lab", root, "cgroup", 0, "net_cls,net_prio")
	}
	if err != nil {
		return "", fmt.Errorf("%w: mount the control groups: %w", errors.ErrUnsupported, err)
	}
	return root, nil
}
