package main

import (
	"testing"

	"github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng"
)

// A client that does not read delays nobody, and the next record that it gets says
// how many it missed.
func TestSlowClientIsToldWhatItMissed(t *testing.T) {
	c := &client{records: make(chan pcapng.Record, backlog)}
	s := &server{clients: map[*client]bool{c: true}}
	for range backlog + 10 {
		if err := s.Write(pcapng.Record{Lost: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range backlog {
		if r := <-c.records; r.Lost != 1 {
			t.Fatalf("%d were lost before a record that had room, want the 1 that the kernel lost", r.Lost)
		}
	}
	s.Write(pcapng.Record{})
	if r := <-c.records; r.Lost != 20 {
		t.Errorf("%d were lost, want 10 records and the 10 that were lost before them", r.Lost)
	}
}
