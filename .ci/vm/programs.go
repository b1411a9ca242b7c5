package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// binDir is where programs are in the machine, and all of its PATH.
const binDir = "bin"

// library finds the files that ldd says a program is linked with.
var library = regexp.MustCompile(`(/\S+) \(0x`)

// addPrograms adds programs of this machine with their libraries.
func addPrograms(c *cpio, names string) error {
	for name := range strings.SplitSeq(names, ",") {
		if err := addProgram(c, name); err != nil {
			return fmt.Errorf("-with=%s: %w", name, err)
		}
	}
	return nil
}

func addProgram(c *cpio, name string) error {
	file, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	if err := addFile(c, binDir+"/"+name, file); err != nil {
		return err
	}
	linked, err := exec.Command("ldd", file).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", file, err)
	}
	var libraries []string
	for _, m := range library.FindAllSubmatch(linked, -1) {
		libraries = append(libraries, string(m[1]))
	}
	if strings.Contains(name, "tables") { // it opens one for each match and target
		extensions, err := filepath.Glob("/usr/lib/*/xtables/*.so")
		if err != nil {
			return err
		}
		libraries = append(libraries, extensions...)
	}
	for _, l := range libraries {
		if err := addFile(c, strings.TrimPrefix(l, "/"), l); err != nil {
			return err
		}
	}
	return nil
}

// addFile adds a file of this machine, unless it is there.
func addFile(c *cpio, name, from string) error {
	if c.made[name] {
		return nil
	}
	b, err := os.ReadFile(from)
	if err == nil {
		c.file(name, 0o755, b)
	}
	return err
}
