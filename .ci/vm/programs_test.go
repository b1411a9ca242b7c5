package main

import (
	"strings"
	"testing"
)

func TestProgramBringsItsLibraries(t *testing.T) {
	var c cpio
	if err := addPrograms(&c, "sh,sh"); err != nil {
		t.Fatal(err)
	}
	libraries := 0
	for name := range c.made {
		if strings.Contains(name, ".so") {
			libraries++
		}
	}
	if !c.made["bin/sh"] || libraries < 2 { // libc, and what loads it
		t.Errorf("the machine has %v", c.made)
	}
}

func TestProgramThatIsNotHereIsAnError(t *testing.T) {
	var c cpio
	if err := addPrograms(&c, "sh,no-such-program"); err == nil || !strings.Contains(err.Error(), "-with=no-such-program") {
		t.Errorf("got %v", err)
	}
}
