package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// udp is a UDP packet of 32 bytes.
var udp = []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'}

// decided returns a queue and a reader with some packets behind them, and what
// counted the verdicts.
func decided(t *testing.T) (Queues, Readers, *Decisions) {
	t.Helper()
	d := NewDecisions()
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, FailOpen: true})
	go q.Run(t.Context(), d.Handler(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Mark == 1 {
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	}))
	for _, mark := range []uint32{0, 1, 0} {
		k.Verdict(k.Enqueue(nfqueue.Packet{Payload: udp, Mark: mark}))
	}
	k.Lose(5)
	k.Verdict(k.Enqueue(nfqueue.Packet{Payload: udp}))

	r, lk := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
	lk.Log(nflog.Packet{Payload: udp}, nflog.Packet{Payload: udp})
	for _, err := range r.Packets(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	return Queues{7: q}, Readers{"5": r}, d
}

func TestEveryPacketAndVerdictIsCounted(t *testing.T) {
	qs, rs, d := decided(t)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(qs, rs, d)
	want := `
# HELP nflog_packets_total Logged packets received.
# TYPE nflog_packets_total counter
nflog_packets_total{reader="5"} 2
# HELP nfqueue_bypassed_packets_total Lost packets that were let through uninspected.
# TYPE nfqueue_bypassed_packets_total counter
nfqueue_bypassed_packets_total{queue="7"} 5
# HELP nfqueue_lost_packets_total Packets that did not fit into the receive buffer; dropped, or accepted if the queue is fail-open.
# TYPE nfqueue_lost_packets_total counter
nfqueue_lost_packets_total{queue="7"} 5
# HELP nfqueue_packets_total Packets handed to the program.
# TYPE nfqueue_packets_total counter
nfqueue_packets_total{queue="7"} 4
# HELP nfqueue_verdicts_total Verdicts that the handler returned, by action; a held packet counts as hold.
# TYPE nfqueue_verdicts_total counter
nfqueue_verdicts_total{action="accept"} 3
nfqueue_verdicts_total{action="drop"} 1
nfqueue_verdicts_total{action="hold"} 0
nfqueue_verdicts_total{action="repeat"} 0
nfqueue_verdicts_total{action="requeue"} 0
nfqueue_verdicts_total{action="stop"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "nfqueue_packets_total", "nfqueue_lost_packets_total",
		"nfqueue_bypassed_packets_total", "nfqueue_verdicts_total", "nflog_packets_total"); err != nil {
		t.Error(err)
	}
}

// The metrics have the names, units and help that Prometheus recommends.
func TestMetricsFollowTheConventions(t *testing.T) {
	qs, rs, d := decided(t)
	for _, c := range []prometheus.Collector{qs, rs, d} {
		problems, err := testutil.CollectAndLint(c)
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// Counting costs no memory a packet.
func TestHandlerDoesNotAllocate(t *testing.T) {
	h := NewDecisions().Handler(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() })
	var p nfqueue.Packet
	if n := testing.AllocsPerRun(1000, func() { h(&p) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// metric finds names of metrics.
var metric = regexp.MustCompile(`\bnf(?:queue|log)_\w+`)

// Alerts and dashboard ask for metrics that are there, and the dashboard shows all.
func TestAlertsAndDashboardNameTheMetrics(t *testing.T) {
	known := map[string]bool{}
	descs := make(chan *prometheus.Desc, 100)
	Queues{}.Describe(descs)
	Readers{}.Describe(descs)
	NewDecisions().Describe(descs)
	close(descs)
	for d := range descs {
		known[metric.FindString(d.String())] = true
	}
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, name := range metric.FindAllString(string(text), -1) {
			shown[strings.TrimSuffix(name, "_bucket")] = true
		}
		for name := range shown {
			if !known[name] {
				t.Errorf("%s has %s, which there is not", file, name)
			}
		}
		for name := range known {
			if file == "dashboard.json" && !shown[name] {
				t.Errorf("%s does not show %s", file, name)
			}
		}
		if file == "dashboard.json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
	}
}
