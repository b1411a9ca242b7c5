//go:build !linux

// Demo shows nfpacket at work on real packets, which takes Linux.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "demo: netfilter is part of Linux, not of %s: run the demo there\n", runtime.GOOS)
	os.Exit(1)
}
