module github.com/nfpacket/nfpacket

go 1.25.0

require (
	github.com/google/nftables v0.3.0
	github.com/mdlayher/netlink v1.9.0
	golang.org/x/net v0.50.0
	golang.org/x/sys v0.41.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/mdlayher/socket v0.5.1 // indirect
	golang.org/x/sync v0.6.0 // indirect
)
