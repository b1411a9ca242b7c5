// Package subject is what the Go programs of the comparison share: the command
// line, the handshake with the harness, and the report. ../../c/bench.h is the
// same for those in C.
//
//	program: opens its sockets, prints "ready RECEIVEBUFFER"
//	harness: fills the queue, writes a line
//	program: works, prints what it measured as one line of JSON
package subject
