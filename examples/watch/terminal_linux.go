package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal makes the terminal hand over keys as they are pressed, without
// showing them; Ctrl-C still interrupts. The error is that of one that is none.
func openTerminal(in, out *os.File) (restore func() error, err error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	if windowSize(out) == (size{}) {
		return nil, errors.New("the output is no terminal")
	}
	raw := *before
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}

// windowSize returns the size of the terminal, zero if f is none.
func windowSize(f *os.File) size {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 {
		return size{}
	}
	return size{int(w.Col), int(w.Row)}
}
