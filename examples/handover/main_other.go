//go:build !linux

// Handover is for Linux.
package main

import "log"

func main() { log.Fatal("the queues are Linux's") }
