package main

import (
	"flag"
	"strconv"
	"strings"
	"time"
)

// Options are what the flags say.
type options struct {
	demo  bool
	drop  map[uint16]bool
	every time.Duration
	frame size // if it is set, one frame of this size is all that is printed
}

func (o *options) addFlags() {
	o.drop = map[uint16]bool{}
	flag.BoolVar(&o.demo, "demo", false, "make a network and traffic to watch, and touch nothing of the host")
	flag.DurationVar(&o.every, "every", time.Second, "how often rates are computed")
	flag.Func("drop", "drop packets to these `ports`, with commas between", o.setDrop)
	flag.Func("frame", "print one frame of this `size`, such as 100x24, after three rounds and exit", o.frame.set)
}

func (o *options) setDrop(list string) error {
	for _, s := range strings.Split(list, ",") {
		port, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return err
		}
		o.drop[uint16(port)] = true
	}
	return nil
}
