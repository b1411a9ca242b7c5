package nfnl_test

import (
	"fmt"

	"github.com/nfpacket/nfpacket/nfnl"
)

// Payload of a packet, from its IP header on.
func ExampleParseFlow() {
	payload := []byte{
		0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
		0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0, // TCP
	}
	f, ok := nfnl.ParseFlow(payload)
	fmt.Println(f, ok)
	fmt.Println("to port", f.Dst.Port(), "with", f.TCPFlags)
	// Output:
	// tcp 192.0.2.1:40000 > 192.0.2.2:80 true
	// to port 80 with syn
}

// A datagram holds one message or several.
func ExampleNext() {
	const (
		unbind  = nfnl.Type(3<<8 | 2) // NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG
		request = 1                   // NLM_F_REQUEST
	)
	var datagram []byte
	for queue := range uint16(2) {
		m := nfnl.Message{Type: unbind, Flags: request, Resource: queue}
		datagram = m.Append(datagram)
	}
	for len(datagram) > 0 {
		m, rest, err := nfnl.Next(datagram)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.Type == unbind, m.Resource)
		datagram = rest
	}
	// Output:
	// true 0
	// true 1
}
