// Package metrics shows queues and log readers to Prometheus.
package metrics

import (
	"strconv"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/prometheus/client_golang/prometheus"
)

// A queueMetric is a metric of a queue, and where it comes from.
type queueMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*nfqueue.Stats) float64
}

func queueCounter(name, help string, of func(*nfqueue.Stats) uint64) queueMetric {
	return queueMetric{describe(name, help, "queue"), prometheus.CounterValue, func(s *nfqueue.Stats) float64 { return float64(of(s)) }}
}

func queueGauge(name, help string, of func(*nfqueue.Stats) int) queueMetric {
	return queueMetric{describe(name, help, "queue"), prometheus.GaugeValue, func(s *nfqueue.Stats) float64 { return float64(of(s)) }}
}

// describe describes a metric with one label.
func describe(name, help, label string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{label}, nil)
}

// queueMetrics are what the library counts.
var queueMetrics = []queueMetric{
	queueCounter("nfqueue_packets_total", "Packets handed to the program.",
		func(s *nfqueue.Stats) uint64 { return s.Packets }),
	queueCounter("nfqueue_lost_packets_total", "Packets that did not fit into the receive buffer; dropped, or accepted if the queue is fail-open.",
		func(s *nfqueue.Stats) uint64 { return s.Lost }),
	queueCounter("nfqueue_bypassed_packets_total", "Lost packets that were let through uninspected.",
		func(s *nfqueue.Stats) uint64 { return s.Bypassed }),
	queueCounter("nfqueue_malformed_messages_total", "Messages that could not be parsed.",
		func(s *nfqueue.Stats) uint64 { return s.Malformed }),
	queueCounter("nfqueue_refused_verdicts_total", "Verdicts refused by the library or the kernel.",
		func(s *nfqueue.Stats) uint64 { return s.Refused }),
	queueCounter("nfqueue_late_verdicts_total", "Verdicts for packets that the kernel no longer had.",
		func(s *nfqueue.Stats) uint64 { return s.Gone }),
	queueCounter("nfqueue_fallback_verdicts_total", "Packets that got the fallback verdict.",
		func(s *nfqueue.Stats) uint64 { return s.Fallbacks }),
	queueCounter("nfqueue_expired_packets_total", "Held packets whose time was up.",
		func(s *nfqueue.Stats) uint64 { return s.Expired }),
	queueGauge("nfqueue_held_packets", "Packets held by the program now.",
		func(s *nfqueue.Stats) int { return s.Held }),
	queueGauge("nfqueue_held_bytes", "Bytes of the packets held now.",
		func(s *nfqueue.Stats) int { return s.HeldBytes }),
}

// buffer is of what the kernel has granted.
var buffer = describe("nfqueue_receive_buffer_bytes", "Size of the socket's receive buffer.", "queue")

// What only the kernel knows. It is left out where the program may not read it.
var (
	waiting = describe("nfqueue_waiting_packets", "Packets in the kernel's queue without a verdict now.", "queue")
	full    = describe("nfqueue_full_packets_total", "Packets that found the kernel's queue full and were dropped.", "queue")
)

// Queues are open queues by their numbers. As a collector it asks them when it is
// scraped, and costs nothing else.
type Queues map[uint16]*nfqueue.Queue

// Describe implements prometheus.Collector.
func (qs Queues) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range queueMetrics {
		descs <- m.desc
	}
	descs <- buffer
	descs <- waiting
	descs <- full
}

// Collect implements prometheus.Collector.
func (qs Queues) Collect(metrics chan<- prometheus.Metric) {
	for number, q := range qs {
		label := strconv.Itoa(int(number))
		stats := q.Stats()
		for _, m := range queueMetrics {
			metrics <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(&stats), label)
		}
		metrics <- prometheus.MustNewConstMetric(buffer, prometheus.GaugeValue, float64(q.Granted().ReadBuffer), label)
		if kernel, err := q.KernelStats(); err == nil {
			metrics <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(kernel.Waiting), label)
			metrics <- prometheus.MustNewConstMetric(full, prometheus.CounterValue, float64(kernel.Full), label)
		}
	}
}
