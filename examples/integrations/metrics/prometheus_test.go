//go:build linux

package metrics

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }

const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need skips the test where a program is not installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("it needs %s: apt-get install prometheus", program)
	}
}

// promtool takes the alerts.
func TestPromtoolChecksTheAlerts(t *testing.T) {
	need(t, "promtool")
	if out, err := exec.Command("promtool", "check", "rules", "alerts.yml").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A real Prometheus scrapes what became of real packets, and its alert on lost
// packets does not fire while none is lost.
func TestPrometheusScrapesRealPackets(t *testing.T) {
	need(t, "prometheus")
	lab.Require(t)
	n, err := lab.Here()
	must(t, err)
	defer n.Close()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7})
	must(t, err)
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{5}})
	must(t, err)
	defer r.Close()
	d := NewDecisions()
	go q.Run(t.Context(), d.Handler(func(p *nfqueue.Packet) nfqueue.Verdict {
		if strings.Contains(string(p.Payload), "secret") {
			return nfqueue.Drop()
		}
		return nfqueue.Accept()
	}))
	chain, err := n.Chain(lab.IPv4, lab.Output, 0)
	must(t, err)
	defer chain.Delete()
	_, err = chain.Add(lab.UDP(9999), lab.Log(5, "", 0, 0), lab.Queue(7))
	must(t, err)
	send(t, "hello", "secret", "goodbye")
	for _, err := range r.Packets(t.Context()) {
		must(t, err)
		if r.Stats().Packets == 3 {
			break
		}
	}

	query := startPrometheus(t, serve(t, Queues{7: q}, Readers{"web": r}, d))
	for expr, want := range map[string]string{
		`nfqueue_packets_total{queue="7"}`:                        "3",
		`nfqueue_verdicts_total{action="drop"}`:                   "1",
		`nfqueue_decision_duration_seconds_count`:                 "3",
		`nfqueue_lost_packets_total`:                              "0",
		`nfqueue_waiting_packets{queue="7"}`:                      "0",
		`nflog_packets_total{reader="web"}`:                       "3",
		`count(count by (__name__) ({__name__=~"nf.*"}))`:         fmt.Sprint(len(queueMetrics) + 3 + len(logMetrics) + 4),
		`count(ALERTS{alertname=~"NfqueueLoses.*"}) or vector(0)`: "0",
	} {
		if got := query(expr); got != want {
			t.Errorf("%s is %q, want %s", expr, got, want)
		}
	}
}

// send sends datagrams; those that are not dropped arrive.
func send(t *testing.T, words ...string) {
	t.Helper()
	to, err := net.ListenPacket("udp", "127.0.0.1:9999")
	must(t, err)
	defer to.Close()
	c, err := net.Dial("udp", "127.0.0.1:9999")
	must(t, err)
	defer c.Close()
	for _, w := range words {
		_, err := c.Write([]byte(w))
		must(t, err)
	}
	must(t, to.SetReadDeadline(time.Now().Add(patience)))
	for {
		b := make([]byte, 100)
		k, _, err := to.ReadFrom(b)
		must(t, err)
		if string(b[:k]) == words[len(words)-1] {
			return
		}
	}
}

// serve serves metrics and returns the address.
func serve(t *testing.T, collectors ...prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// startPrometheus runs Prometheus until the test ends. The function that it returns
// asks for the value of an expression, once the target has been scraped.
func startPrometheus(t *testing.T, target string) (query func(expr string) string) {
	t.Helper()
	alerts, err := filepath.Abs("alerts.yml")
	must(t, err)
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 200ms, evaluation_interval: 200ms}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: nfpacket, static_configs: [{targets: [%q]}]}]\n", alerts, target)
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644))
	var log strings.Builder
	const address = "127.0.0.1:19090"
	cmd := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	query = func(expr string) string { return ask(address, expr) }
	for end := time.Now().Add(patience); query(`up{job="nfpacket"}`) != "1"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("Prometheus has not scraped: %s", log.String())
		}
	}
	return query
}

// ask returns the value of an expression, and nothing if there is none.
func ask(address, expr string) string {
	resp, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	s, _ := answer.Data.Result[0].Value[1].(string)
	return s
}
