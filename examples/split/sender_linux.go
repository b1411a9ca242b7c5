package main

import (
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/nfnl"
)

// rawSender returns a function that sends a whole IP packet with the mark.
func rawSender(mark int) (send func(packet []byte) error, err error) {
	sockets := map[int]int{} // by family
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		// IPPROTO_RAW: the packet has its IP header.
		fd, err := syscall.Socket(family, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
		if err != nil {
			return nil, fmt.Errorf("raw socket (it takes CAP_NET_RAW): %w", err)
		}
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_MARK, mark); err != nil {
			return nil, fmt.Errorf("mark of the raw socket: %w", err)
		}
		sockets[family] = fd
	}
	return func(packet []byte) error {
		flow, _ := nfnl.ParseFlow(packet)
		if to := flow.Dst.Addr(); to.Is4() {
			return syscall.Sendto(sockets[syscall.AF_INET], packet, 0, &syscall.SockaddrInet4{Addr: to.As4()})
		}
		return syscall.Sendto(sockets[syscall.AF_INET6], packet, 0, &syscall.SockaddrInet6{Addr: flow.Dst.Addr().As16()})
	}, nil
}
