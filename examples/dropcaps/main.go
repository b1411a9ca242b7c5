// Dropcaps prints what is logged to group 5, having given up everything: it opens
// the group, and then begins anew with the open socket, as nobody, without any
// capability and no way to get one. To read a log takes no privilege:
//
//	go run ./examples/dropcaps -install
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_dropcaps
//	add chain inet nfpacket_dropcaps output { type filter hook output priority filter; }
//	add rule inet nfpacket_dropcaps output udp dport 53 log prefix "dns " group 5
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFLOG --nflog-group 5 --nflog-prefix "dns "
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// envSocket has the number of the socket for the program that begins anew.
const envSocket = "DROPCAPS_SOCKET"

// config is used twice: to bind the group, and to read from it.
var config = nflog.Config{Groups: []uint16{5}}

func main() {
	program := rules.Parse("dropcaps", rules.Log(5).Prefix("dns ").Match("udp dport 53"))
	fd, err := strconv.Atoi(os.Getenv(envSocket))
	if err != nil {
		log.Fatal(open(program)) // it does not return otherwise
	}
	if err := read(os.NewFile(uintptr(fd), "socket")); err != nil {
		log.Fatal(err)
	}
}

// open binds the group and begins anew without privileges.
func open(program *rules.Program) error {
	conn, err := nfnl.Dial(nfnl.Config{ReadBuffer: 2 << 20})
	if err != nil {
		return err
	}
	bind, err := config.Bind(config.Groups[0])
	if err != nil {
		return err
	}
	if err := conn.Request(bind); err != nil {
		return err
	}
	if err := program.Install(); err != nil {
		return err
	}
	return beginAnew(conn)
}

// read prints what is logged.
func read(socket *os.File) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn, err := nfnl.FileConn(socket)
	socket.Close()
	if err != nil {
		return err
	}
	r, err := nflog.AdoptConn(conn, config, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	for p, err := range r.Packets(ctx) {
		if err != nil && ctx.Err() != nil {
			break // it was interrupted, which is how it ends
		}
		if err != nil {
			return err
		}
		fmt.Println(p)
	}
	return nil
}
