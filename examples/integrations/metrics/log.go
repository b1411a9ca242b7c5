package metrics

import (
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/prometheus/client_golang/prometheus"
)

// logMetrics are what the library counts of log groups.
var logMetrics = []struct {
	desc *prometheus.Desc
	of   func(*nflog.Stats) uint64
}{
	{describe("nflog_packets_total", "Logged packets received.", "reader"),
		func(s *nflog.Stats) uint64 { return s.Packets }},
	{describe("nflog_lost_packets_total", "Logged packets that did not fit into the receive buffer.", "reader"),
		func(s *nflog.Stats) uint64 { return s.Lost }},
	{describe("nflog_malformed_messages_total", "Messages that could not be parsed.", "reader"),
		func(s *nflog.Stats) uint64 { return s.Malformed }},
	{describe("nflog_discarded_packets_total", "Packets received, and not handed out before the end.", "reader"),
		func(s *nflog.Stats) uint64 { return s.Discarded }},
}

// Readers are open log readers. The name of each becomes the label reader: the
// number of its group, for example.
type Readers map[string]*nflog.Reader

// Describe implements prometheus.Collector.
func (rs Readers) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range logMetrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (rs Readers) Collect(metrics chan<- prometheus.Metric) {
	for name, r := range rs {
		stats := r.Stats()
		for _, m := range logMetrics {
			metrics <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(&stats)), name)
		}
	}
}
