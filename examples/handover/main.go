//go:build linux

// Handover replaces the program that decides, and no packet is lost by it: a
// keeper holds the queue's socket and starts a worker on it, and another one
// whenever that has ended: on SIGHUP, which the keeper makes a SIGTERM, because it
// crashed, or by SIGKILL. Packets wait in the socket meanwhile.
//
//	go run ./examples/handover -install
//	kill -HUP KEEPER
//
// Its rules, which -rules prints and -install installs:
//
//	add table inet nfpacket_handover
//	add chain inet nfpacket_handover output { type filter hook output priority filter; }
//	add rule inet nfpacket_handover output udp dport 53 queue to 7
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 7
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// envWorker is set for a worker, whose descriptor 3 is the socket.
const envWorker = "HANDOVER_WORKER"

var config = nfqueue.Config{Queue: 7, OnError: func(err error) { log.Print(err) }}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := keep
	if os.Getenv(envWorker) != "" {
		do = work
	}
	if err := do(ctx); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// keep opens the queue, and starts workers until ctx is done.
func keep(ctx context.Context) error {
	program := rules.Parse("handover", rules.Queue(7).Match("udp dport 53"))
	// The buffer has room for what comes while there is no worker.
	conn, err := nfnl.Dial(nfnl.Config{ReadBuffer: 8 << 20})
	if err != nil {
		return err
	}
	defer conn.Close()
	bind, err := config.Bind()
	if err == nil {
		err = conn.Request(bind)
	}
	if err != nil {
		return err
	}
	socket, err := file(conn)
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := program.Install(); err != nil {
		return err
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	log.Print("ready")
	for ctx.Err() == nil {
		worker := exec.Command("/proc/self/exe")
		worker.Env = append(os.Environ(), envWorker+"=1")
		worker.Stdout, worker.Stderr, worker.ExtraFiles = os.Stdout, os.Stderr, []*os.File{socket}
		if err := worker.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- worker.Wait() }()
		select {
		case <-hangUp:
			worker.Process.Signal(syscall.SIGTERM)
			log.Print("worker replaced: ", <-ended)
		case <-ctx.Done():
			worker.Process.Signal(syscall.SIGTERM)
			<-ended
		case err := <-ended:
			log.Print("worker ended: ", err)
		}
	}
	return ctx.Err()
}

// file returns a copy of the Conn's descriptor.
func file(conn *nfnl.Conn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	cerr := raw.Control(func(own uintptr) {
		if fd, err = syscall.Dup(int(own)); err == nil {
			syscall.CloseOnExec(fd) // a worker has it as its descriptor 3 only
		}
	})
	if err := cmp.Or(cerr, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "queue"), nil
}

// work decides until ctx is done. The queue stays open, for the keeper has it too.
func work(ctx context.Context) error {
	conn, err := nfnl.FileConn(os.NewFile(3, "queue"))
	if err != nil {
		return err
	}
	q, err := nfqueue.OpenConn(conn, config)
	if err != nil {
		conn.Close()
		return err
	}
	defer q.Close()
	// What the worker before received and did not answer comes to nobody any more:
	// the kernel alone knows of it. A firewall says Drop here.
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		return err
	}
	fmt.Println("worker", os.Getpid())
	return q.Run(ctx, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
}
