package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

// processLimit bounds the life of every program that is started.
const processLimit = 70 * time.Second

// errUnsupported is that of a program which cannot do what was asked of it.
var errUnsupported = errors.New("not supported")

// A process is a running program of the comparison.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	limit  *time.Timer
	buffer int // its receive buffer
}

// launch starts a program and waits until its sockets are open.
func launch(argv ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...)}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.limit = time.AfterFunc(processLimit, func() { p.cmd.Process.Kill() })
	line, _ := p.out.ReadString('\n')
	granted, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if p.buffer, err = strconv.Atoi(granted); !ok || err != nil {
		return nil, p.fail(fmt.Errorf("it said %q, not that it is ready", line))
	}
	return p, nil
}

// release lets the program work.
func (p *process) release() error {
	_, err := io.WriteString(p.in, "\n")
	return err
}

// stop asks a program without a count to report.
func (p *process) stop() { p.cmd.Process.Signal(syscall.SIGTERM) }

// result waits for what the program measured.
func (p *process) result() (r subject.Result, err error) {
	line, _ := p.out.ReadString('\n')
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return r, p.fail(err)
	}
	return r, p.wait()
}

// endLimit is how long a program may take to end, and to write its profile.
const endLimit = 5 * time.Second

// end stops a program whose result nobody wants any more. It does nothing after
// result.
func (p *process) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.limit.Reset(endLimit)
	p.in.Close()
	p.stop()
	io.Copy(io.Discard, p.out)
	p.wait()
}

// fail ends the program and makes the error of what it said last.
func (p *process) fail(err error) error {
	p.in.Close()
	werr := p.wait()
	if werr != nil {
		return werr
	}
	return fmt.Errorf("%s: %w", strings.Join(p.cmd.Args, " "), err)
}

// wait waits for the end of the program.
func (p *process) wait() error {
	err := p.cmd.Wait()
	p.limit.Stop()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(p.cmd.Args, " "), err, strings.TrimSpace(p.stderr.String()))
	}
	return nil
}
