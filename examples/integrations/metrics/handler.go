package metrics

import (
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/prometheus/client_golang/prometheus"
)

// Decisions counts verdicts by action, and measures how long a handler takes for
// them.
type Decisions struct {
	verdicts *prometheus.CounterVec
	duration prometheus.Histogram
	byAction [nfqueue.ActionHold + 1]prometheus.Counter
}

// NewDecisions returns a Decisions. Register it, and give its Handler to Run.
func NewDecisions() *Decisions {
	d := &Decisions{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nfqueue_verdicts_total",
			Help: "Verdicts that the handler returned, by action; a held packet counts as hold.",
		}, []string{"action"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "nfqueue_decision_duration_seconds",
			Help:    "How long the handler took for a packet.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 11), // 1 µs to 1 s
		}),
	}
	for action := range d.byAction { // no look-up a packet, and all are there from the start
		d.byAction[action] = d.verdicts.WithLabelValues(nfqueue.Action(action).String())
	}
	return d
}

// Handler returns a handler that does as h does, and counts. It adds two readings of
// the clock to a packet, and no allocation.
func (d *Decisions) Handler(h nfqueue.Handler) nfqueue.Handler {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		begin := time.Now()
		v := h(p)
		d.duration.Observe(time.Since(begin).Seconds())
		d.byAction[v.Action()].Inc()
		return v
	}
}

// Describe implements prometheus.Collector.
func (d *Decisions) Describe(descs chan<- *prometheus.Desc) {
	d.verdicts.Describe(descs)
	d.duration.Describe(descs)
}

// Collect implements prometheus.Collector.
func (d *Decisions) Collect(metrics chan<- prometheus.Metric) {
	d.verdicts.Collect(metrics)
	d.duration.Collect(metrics)
}
