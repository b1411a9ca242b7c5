//go:build linux

package main

import (
	"context"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/internal/rules"
	"github.com/nfpacket/nfpacket/examples/internal/socket"
	"github.com/nfpacket/nfpacket/nfnl"
)

// keep opens the queue, and starts workers until ctx is done.
func keep(ctx context.Context) error {
	program := rules.Parse("handover", rules.Queue(7).Match("udp dport 53"))
	queue, err := bind()
	if err != nil {
		return err
	}
	defer queue.Close()
	if err := program.Install(); err != nil {
		return err
	}
	runtime.LockOSThread() // a worker ends with the thread that started it, see Pdeathsig
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	log.Print("ready")
	for ctx.Err() == nil {
		if err := runWorker(ctx, queue, hangUp); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// bind binds the queue, and returns its socket.
func bind() (*os.File, error) {
	// The buffer has room for what comes while there is no worker.
	conn, err := nfnl.Dial(nfnl.Config{ReadBuffer: 8 << 20})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request, err := config.Bind()
	if err != nil {
		return nil, err
	}
	if err := conn.Request(request); err != nil {
		return nil, err
	}
	fd, err := socket.Dup(conn)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd) // a worker has it as its descriptor 3 only
	return os.NewFile(uintptr(fd), "queue"), nil
}

// runWorker starts a worker and waits for its end, for which it asks on SIGHUP and
// when ctx is done.
func runWorker(ctx context.Context, queue *os.File, hangUp <-chan os.Signal) error {
	worker := exec.Command("/proc/self/exe")
	worker.Env = append(os.Environ(), envWorker+"=1")
	worker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // or the next keeper finds the queue taken
	worker.Stdout, worker.Stderr, worker.ExtraFiles = os.Stdout, os.Stderr, []*os.File{queue}
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
	return nil
}
