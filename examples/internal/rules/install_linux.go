package rules

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// install starts an nft that owns the table, and ends when its standard input
// does: when this program does, however that comes about.
func install(s Set, netns string) error {
	args := []string{"nft", "-i"}
	if netns != "" {
		args = append([]string{"nsenter", "--net=" + netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	// Ctrl-C in a terminal is for this program, which has packets to decide first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	cmd.Stdin = theirs
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		ours.Close()
		return fmt.Errorf("rules: -install needs nft, install the rules that -rules prints: %w", err)
	}
	if err := feed(ours, out, s); err != nil {
		ours.Close()
		cmd.Wait()
		return err
	}
	go watch(cmd, out, ours)
	return keep(ours)
}

// watch holds on to the pipe, and waits for an nft that ends before the program.
func watch(cmd *exec.Cmd, out io.Reader, pipe *os.File) {
	io.Copy(io.Discard, out)
	pipe.Close()
	log.Printf("rules: nft has ended, and the rules are gone: %v", cmd.Wait())
}

// keep leaves the pipe open when the program replaces itself by execve.
func keep(pipe *os.File) error {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// feed writes the commands, and a last one that shows whether they were done.
func feed(in io.Writer, out io.Reader, s Set) error {
	if _, err := fmt.Fprintf(in, "%slist table inet %s\n", s.NFT(true), s.Table); err != nil {
		return fmt.Errorf("rules: nft: %w", err)
	}
	owned := false
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		switch said = append(said, line); {
		case strings.Contains(line, "flags owner"):
			owned = true
		case line == "}" && owned:
			return nil
		case line == "}", strings.HasPrefix(line, "Error"), strings.Contains(line, ": Error: "):
			return fmt.Errorf("rules: this nft or kernel does not take the rules: it may lack the flag owner of tables, or the module nft_queue (CONFIG_NFT_QUEUE); -rules prints rules to install by hand, also for iptables:\n%s",
				strings.Join(said, "\n"))
		}
	}
	return fmt.Errorf("rules: nft ended:\n%s", strings.Join(said, "\n"))
}
