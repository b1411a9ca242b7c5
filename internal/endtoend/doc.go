// Package endtoend has what the tests of the library against the running kernel
// share: network namespaces with hosts in them, traffic, and what is to be seen of
// it. The tests are in the folders, each about something else:
//
//	queue      what a queue does: handlers, tickets, verdicts, ranges, packets
//	log        what a log does
//	conntrack  connections: what packets report of them, and what verdicts change
//	rewrite    payloads, checksums, segmentation, and what the kernel loses
//	faults     overload, missing privileges, processes that die, packets that are gone
//
// They need no root: see internal/lab.
package endtoend
