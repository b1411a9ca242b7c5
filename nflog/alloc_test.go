package nflog_test

import (
	"iter"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// TestNoAllocs is the list of what promises not to allocate for a packet.
func TestNoAllocs(t *testing.T) {
	full, p := fullPacket(), new(nflog.Packet)
	m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &full))
	if err != nil {
		t.Fatal(err)
	}
	noAllocs(t, "Decode", func() { p.Decode(m) })
	m = tracked(attr.InfoNew, connection)
	noAllocs(t, "Decode of a tracked packet", func() { p.Decode(m) })
	noAllocs(t, "Conntrack", func() { p.Conntrack() })

	r, b := waitingRecords(t)
	noAllocs(t, "Receive", func() { r.Receive(b) })
	wantStats(t, r, records*(allocRuns+2), 0, 0)

	r, b = waitingRecords(t)
	noAllocs(t, "TryReceive", func() { r.TryReceive(b) })
	wantStats(t, r, records*(allocRuns+2), 0, 0)

	r, _ = waitingRecords(t)
	pull, stop := iter.Pull2(r.Packets(t.Context()))
	defer stop()
	pull() // begins the loop
	noAllocs(t, "Packets", func() {
		for range records {
			pull()
		}
	})
	wantStats(t, r, records*(allocRuns+3), 0, 0)
}

// allocRuns is how often a promise is tried, but for a first time that does not
// count.
const allocRuns = 100

// records is the number of records in each datagram.
const records = 8

// waitingRecords returns a Reader for which as many datagrams wait as noAllocs
// needs, and a Batch that has received one. The fake kernel is through with its
// own allocations then.
func waitingRecords(t *testing.T) (*nflog.Reader, *nflog.Batch) {
	t.Helper()
	r, k := open(t, nflog.Config{Batch: 1})
	p := plainPacket()
	p.Seq = 0
	var datagram []byte
	for range records {
		datagram = nflogtest.AppendPacket(datagram, &p)
	}
	for range allocRuns + 3 {
		k.Deliver(datagram)
	}
	b := r.NewBatch()
	if err := r.Receive(b); err != nil {
		t.Fatal(err)
	}
	return r, b
}

func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(allocRuns, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}
