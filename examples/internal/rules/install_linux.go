package rules

import (
	"bufio"
	"fmt"
	"io"
	"log"
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
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("rules: -install needs nft, install the rules that -rules prints: %w", err)
	}
	if err := feed(in, out, s); err != nil {
		in.Close()
		cmd.Wait()
		return err
	}
	go func() { // which also keeps the pipe open
		io.Copy(io.Discard, out)
		in.Close()
		log.Printf("rules: nft has ended, and the rules are gone: %v", cmd.Wait())
	}()
	return nil
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
			return fmt.Errorf("rules: this nft or kernel does not take the rules in a table with the flag owner; install those that -rules prints:\n%s",
				strings.Join(said, "\n"))
		}
	}
	return fmt.Errorf("rules: nft ended:\n%s", strings.Join(said, "\n"))
}
