// Vm runs Go tests in throw-away virtual machines: a Linux kernel with the
// modules it needs, this program as its init, and one test binary.
//
//	vm modules TREE LIST FILE     pack the kernel modules that LIST names
//	vm exec [flags] TEST [args]   run a test binary, for go test -exec
//
// In the machine, where it is called /init, it is the other side of exec.
package main

import (
	"fmt"
	"os"
)

func main() {
	if os.Args[0] == initName {
		initMain()
	}
	if len(os.Args) < 2 {
		usage()
	}
	status, err := 0, error(nil)
	switch args := os.Args[2:]; os.Args[1] {
	case "modules":
		if len(args) != 3 {
			usage()
		}
		err = packModules(args[0], args[1], args[2])
	case "exec":
		status, err = execTest(args)
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		status = 1
	}
	os.Exit(status)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: vm modules TREE LIST FILE | vm exec [flags] TEST [args]")
	os.Exit(2)
}
