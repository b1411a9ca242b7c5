// Web is both ends of the HTTP traffic that passes through a router:
//
//	web -serve ADDRESS
//	web -get ADDRESS -connections N [-close] -time D
//
// A server prints "ready 0" once it listens. A client prints how many requests
// were answered, as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

func main() {
	serve := flag.String("serve", "", "`address` to serve")
	get := flag.String("get", "", "`address` to get from")
	connections := flag.Int("connections", 16, "`number` of connections at a time")
	once := flag.Bool("close", false, "a connection for each request")
	limit := flag.Duration("time", time.Second, "how `long` to ask")
	flag.Parse()
	if *serve != "" {
		answer(*serve)
		return
	}
	subject.Must(json.NewEncoder(os.Stdout).Encode(ask(*get, *connections, *once, *limit)))
}

// answer serves a small page until the program is ended.
func answer(address string) {
	l, err := net.Listen("tcp4", address)
	subject.Must(err)
	fmt.Println("ready 0")
	page := make([]byte, 512)
	ctx, cancel := subject.Context()
	defer cancel()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(l); err != http.ErrServerClosed {
		subject.Must(err)
	}
}

// ask gets the page again and again.
func ask(address string, connections int, once bool, limit time.Duration) subject.Result {
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableKeepAlives: once},
	}
	began := time.Now()
	var answered atomic.Int64
	var clients errgroup.Group
	for range connections {
		clients.Go(func() error {
			for time.Since(began) < limit {
				r, err := client.Get("http://" + address)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	subject.Must(clients.Wait())
	return subject.Result{Packets: answered.Load(), WallNS: time.Since(began).Nanoseconds()}
}
