// Package engine is a socket of nfnetlink on which messages of the kernel and the
// answers to requests arrive side by side. Package nfnl is its public face; nfqueue and
// nflog use it directly.
//
//	Receive, TryReceive, Rest --+
//	                            |  take the token: one goroutine at a time
//	Request, Seal, Buffer ------+  reads the socket, the others wait for it
//	                            v
//	             transport.receive: recvmmsg into the slots of a Batch,
//	             or first the datagrams that a Request has kept
//	                            |
//	                            v
//	             Batch.deliver: each datagram in the order of its arrival
//	               runs         many messages at once (TakeRuns)
//	               answer       an acknowledgement or refusal that a Request waits for
//	               take         any other message
//	                            |
//	                            v
//	             the token is returned
//
//	Send, SendShort ------> transport.send: without the token and without a lock
//
// The files:
//
//	conn.go, config.go             Dial and the options of a socket
//	receive.go, try_receive.go     the token, and who waits for it
//	descriptor_linux.go            the descriptor, and how Go's poller waits for it
//	blocking_linux.go              receivers that wait without the poller
//	batch.go, claim.go             the datagrams of a receive, and who may receive them
//	request.go, keep.go, seal.go   requests, and the datagrams that they keep aside
//	message.go, types.go, uapi.go  the format of messages
//	links.go, netns.go             interfaces and files of the socket's network namespace
//	fileconn.go, pipe.go           sockets opened by others, and fake kernels
//	memory.go                      the memory of Batches, outside of Go's heap
//	denied.go                      system calls that are refused
//	*_linux.go, *_other.go         the system calls, and their absence
package engine
