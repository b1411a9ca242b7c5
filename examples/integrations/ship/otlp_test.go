//go:build linux

package main

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver stores OTLP logs. Of each three requests it refuses the first, stores
// the second without an answer, and answers the third.
type receiver struct {
	t *testing.T

	mu       sync.Mutex
	requests int
	stored   map[string]int // how often, by ID
	last     map[string]any // attributes of the last record
	time     time.Time      // of that
	host     string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := gzip.NewReader(req.Body)
	must(r.t, err)
	b, err := io.ReadAll(body)
	must(r.t, err)
	r.requests++
	if r.requests%3 == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.store(b)
	if r.requests%3 == 2 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// store stores a request.
func (r *receiver) store(b []byte) {
	var logs collogs.ExportLogsServiceRequest
	must(r.t, proto.Unmarshal(b, &logs))
	for _, resource := range logs.ResourceLogs {
		for _, kv := range resource.Resource.Attributes {
			if kv.Key == "host.name" {
				r.host = kv.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeLogs {
			for _, l := range scope.LogRecords {
				r.last, r.time = map[string]any{}, time.Unix(0, int64(l.TimeUnixNano))
				for _, kv := range l.Attributes {
					r.last[kv.Key] = kv.Value.GetStringValue()
					if kv.Value.GetStringValue() == "" {
						r.last[kv.Key] = kv.Value.GetIntValue()
					}
				}
				r.stored[r.last["log.record.uid"].(string)]++
			}
		}
	}
}

// Real packets reach a receiver that answers one request in three: all of them, and
// what was stored twice has the same ID.
func TestReceiverGetsEveryRecord(t *testing.T) {
	rule := logged(t)
	recv := &receiver{t: t, stored: map[string]int{}}
	server := httptest.NewServer(recv)
	defer server.Close()
	sink, err := newOTLP(t.Context(), server.URL, "h")
	must(t, err)
	defer sink.Close()
	s := startShipper(t, sink, 10_000)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	flood(ctx, t, 2000)
	s.stop()

	packets, err := rule.Packets()
	must(t, err)
	if c := s.sender.Counts(); c.Acknowledged != packets || c.Retries == 0 || uint64(len(recv.stored)) != packets {
		t.Errorf("of %d packets %d are stored; %v", packets, len(recv.stored), c)
	}
	twice := 0
	for _, n := range recv.stored {
		if n > 1 {
			twice++
		}
	}
	if twice == 0 {
		t.Error("nothing was stored twice; this test is about that")
	}
	if recv.host != "h" || recv.last["destination.port"] != int64(9999) || recv.last["network.transport"] != "udp" ||
		recv.last["nflog.prefix"] != "flood " || time.Since(recv.time) > time.Minute {
		t.Errorf("a record of %q at %v is %v", recv.host, recv.time, recv.last)
	}
}
