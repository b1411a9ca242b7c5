//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/examples/internal/exampletest"
	"github.com/nfpacket/nfpacket/internal/lab"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// collect starts the receiver of the OpenTelemetry Collector on its usual port, and
// returns where it puts what it gets.
func collect(t *testing.T) *consumertest.LogsSink {
	t.Helper()
	sink := new(consumertest.LogsSink)
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	config.Protocols.HTTP.GetOrInsertDefault()
	r, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), config, sink)
	must(t, err)
	must(t, r.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { r.Shutdown(t.Context()) })
	return sink
}

// attributes returns an attribute of every record that was collected.
func attributes(sink *consumertest.LogsSink, name string) (values []any) {
	for _, logs := range sink.AllLogs() {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if v, ok := record.Attributes().Get(name); ok {
						values = append(values, v.AsRaw())
					}
				}
			}
		}
	}
	return values
}

// The Collector's own receiver takes what the command of the README sends it.
func TestCollectorReceivesEveryRecord(t *testing.T) {
	rule := logged(t)
	n, err := lab.Here()
	must(t, err)
	defer n.Close()
	sink := collect(t)
	p := exampletest.Run(t, n, "-group", "5", "-otlp", "http://localhost:4318", "-dir", t.TempDir())
	floodFor(t, 200*time.Millisecond)
	packets, err := rule.Packets()
	must(t, err)
	until(t, "all are there", func() bool { return uint64(sink.LogRecordCount()) >= packets })
	p.Stop()
	seen := map[any]bool{}
	for _, id := range attributes(sink, "log.record.uid") {
		if seen[id] {
			t.Errorf("%v came twice, though each request was answered", id)
		}
		seen[id] = true
	}
	ports := attributes(sink, "destination.port")
	if uint64(len(seen)) != packets || uint64(len(ports)) != packets || ports[0] != int64(9999) {
		t.Errorf("of %d packets %d were collected, with the ports %v", packets, len(seen), ports)
	}
}
