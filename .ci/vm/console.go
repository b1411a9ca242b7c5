package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// A console reads what a machine prints: hands the test's output on, notes its
// result, and keeps what the kernel said.
type console struct {
	out     io.Writer
	verbose bool // print what go test -v would

	ended   bool // the machine has told the result
	status  int
	running string // the test started last
	cover   []byte
	other   []string // the last lines that are no messages
}

// read reads to the end.
func (c *console) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if lineErr := c.line(strings.TrimRight(line, "\r\n")); lineErr != nil {
			return lineErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *console) line(line string) error {
	// Firmware may leave its line unended.
	if i := strings.Index(line, sayBegin); i > 0 {
		line = line[i:]
	}
	var err error
	if s, ok := strings.CutPrefix(line, sayOutput); ok {
		err = c.output(s)
	} else if s, ok := strings.CutPrefix(line, sayBegin); ok {
		if c.verbose {
			err = c.print("vm: " + s)
		}
	} else if s, ok := strings.CutPrefix(line, sayNote); ok {
		err = c.print("vm: " + s)
	} else if s, ok := strings.CutPrefix(line, sayCover); ok {
		c.cover, err = base64.StdEncoding.DecodeString(s)
	} else if s, ok := strings.CutPrefix(line, sayEnd); ok {
		c.status, err = strconv.Atoi(strings.TrimSpace(s))
		c.ended = err == nil
	} else {
		c.keep(line)
	}
	return err
}

// start matches the line by which a test says that it begins.
var start = regexp.MustCompile(`^\x16?=== RUN +(\S+)`)

// chatter matches lines that only a verbose test prints.
var chatter = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME) |^\s*--- PASS: `)

// output prints a line of the test.
func (c *console) output(line string) error {
	if m := start.FindStringSubmatch(line); m != nil {
		c.running = m[1]
	}
	if !c.verbose && chatter.MatchString(line) {
		return nil
	}
	return c.print(line)
}

func (c *console) print(line string) error {
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// keep keeps a line that the kernel printed.
func (c *console) keep(line string) {
	const most = 100
	line = strings.ReplaceAll(line, "\x1b", "") // firmware would reset the terminal
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(c.other) == most {
		c.other = append(c.other[:0], c.other[1:]...)
	}
	c.other = append(c.other, line)
}

// lastWords tells what happened before a machine ended that told no result.
func (c *console) lastWords() string {
	when := "before the tests began"
	if c.running != "" {
		when = "in or after " + c.running
	}
	return when + "; its kernel said:\n" + strings.Join(c.other, "\n")
}
