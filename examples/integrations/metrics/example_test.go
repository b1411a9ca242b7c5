package metrics_test

import (
	"context"
	"log"
	"net/http"

	"github.com/nfpacket/nfpacket/examples/integrations/metrics"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func Example() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	decisions := metrics.NewDecisions()
	prometheus.MustRegister(metrics.Queues{7: q}, decisions)
	http.Handle("/metrics", promhttp.Handler())
	go http.ListenAndServe("127.0.0.1:9107", nil)

	err = q.Run(context.Background(), decisions.Handler(func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept()
	}))
	log.Fatal(err)
}
