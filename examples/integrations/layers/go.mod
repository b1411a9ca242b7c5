module github.com/nfpacket/nfpacket/examples/integrations/layers

go 1.25.0

require (
	github.com/gopacket/gopacket v1.7.7
	github.com/nfpacket/nfpacket v0.0.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/nftables v0.3.0 // indirect
	github.com/mdlayher/netlink v1.9.0 // indirect
	github.com/mdlayher/socket v0.5.1 // indirect
	golang.org/x/net v0.55.0 // indirect
	golang.org/x/sync v0.6.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace github.com/nfpacket/nfpacket => ../../..
