package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
)

// A screen is what is shown, and how.
type screen struct {
	queue *nfqueue.Queue
	table *table
	every time.Duration
	frame size
}

// Sequences of a terminal: the alternate screen without a cursor, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
)

// show shows the table until ctx is done, or the user quits, which calls stop.
func show(ctx context.Context, stop func(), s screen) {
	defer stop()
	if s.frame.height > 0 {
		s.showFrame(ctx)
		return
	}
	restore, err := openTerminal(os.Stdin, os.Stdout)
	if err != nil {
		s.showLines(ctx)
		return
	}
	defer restore()
	fmt.Print(enterScreen)
	defer fmt.Print(leaveScreen)
	s.showTable(ctx)
}

// rounds returns a channel that gets the time at the end of every round.
func (s screen) rounds(ctx context.Context) <-chan time.Time {
	ticker := time.NewTicker(s.every)
	context.AfterFunc(ctx, ticker.Stop)
	return ticker.C
}

// showFrame prints one frame.
func (s screen) showFrame(ctx context.Context) {
	rounds := s.rounds(ctx)
	for range 3 {
		select {
		case now := <-rounds:
			s.table.tick(now)
		case <-ctx.Done():
			return
		}
	}
	for _, line := range render(view{}, s.status(), s.table.rows(), s.frame) {
		fmt.Println(line)
	}
}

// showLines prints lines round by round.
func (s screen) showLines(ctx context.Context) {
	for rounds := s.rounds(ctx); ; {
		select {
		case now := <-rounds:
			s.table.tick(now)
			for _, line := range plainLines(view{}, s.status(), s.table.rows(), now) {
				fmt.Println(line)
			}
		case <-ctx.Done():
			return
		}
	}
}

// showTable draws the table at every round and every key.
func (s screen) showTable(ctx context.Context) {
	var v view
	keys := make(chan string)
	go readKeys(ctx, keys)
	st, rows := s.status(), s.table.rows()
	for rounds := s.rounds(ctx); ; {
		// One write a frame, from the top: nothing flickers.
		fmt.Print(home + strings.Join(render(v, st, rows, windowSize(os.Stdout)), "\r\n"))
		select {
		case pressed := <-keys:
			if v.press(pressed) {
				return
			}
		case now := <-rounds:
			s.table.tick(now)
			if !v.paused {
				st, rows = s.status(), s.table.rows()
			}
		case <-ctx.Done():
			return
		}
	}
}

// readKeys sends on what is typed. It ends with the program: a read from a
// terminal cannot be interrupted.
func readKeys(ctx context.Context, keys chan<- string) {
	b := make([]byte, 64)
	for {
		n, err := os.Stdin.Read(b)
		if err != nil {
			return
		}
		select {
		case keys <- string(b[:n]):
		case <-ctx.Done():
			return
		}
	}
}

// status asks for the queue's counts.
func (s screen) status() status {
	st := status{queue: 7, stats: s.queue.Stats()}
	if k, err := s.queue.KernelStats(); err == nil {
		st.kernel = &k
	}
	return st
}
