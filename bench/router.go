package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
	"github.com/nfpacket/nfpacket/internal/lab"
)

// Ports of a server behind the router, at the hook forward.
const (
	routedPort     = 9400 // packets from and to it wait in queue 0
	routedTwoPort  = 9401 // the same in queues 0 and 1, by processor
	routedBarePort = 9402 // no rule is about them
	routedOncePort = 9403 // in queue 0, but for those of connections with a mark
)

// east and server are the addresses at the ends of the pair between the router
// and the server behind it.
var east, server = netip.MustParsePrefix("10.98.0.1/24"), netip.MustParsePrefix("10.98.0.2/24")

// addRouter makes the namespace of the programs a router between the peer and a
// server in a third namespace.
func (s *site) addRouter() error {
	var err error
	if s.server, err = lab.NewNet(); err != nil {
		return err
	}
	if err := s.net.Veth("east", s.server, "server"); err != nil {
		return err
	}
	if err := s.net.AddAddr("east", east); err != nil {
		return err
	}
	if err := s.server.AddAddr("server", server); err != nil {
		return err
	}
	if err := errors.Join(s.net.Up("east"), s.server.Up("server"), s.net.Forwarding(true)); err != nil {
		return err
	}
	for _, n := range []*lab.Net{s.net, s.peer, s.server} {
		// Connections in TIME_WAIT would use up the ports of a client in half a minute.
		if err := n.Sysctl("net/ipv4/tcp_max_tw_buckets", "0"); err != nil {
			return err
		}
	}
	err = errors.Join(s.peer.AddRoute(server.Masked(), near.Addr()), s.server.AddRoute(near.Masked(), east.Addr()))
	if err != nil {
		return err
	}
	return s.addForwardRules()
}

func (s *site) addForwardRules() error {
	chain, err := s.net.Chain(lab.IPv4, lab.Forward, 0)
	if err != nil {
		return err
	}
	tcp := lab.L4(unix.IPPROTO_TCP)
	for port, queues := range map[uint16]lab.Term{routedPort: lab.Queue(0), routedTwoPort: lab.Queues(0, 2, lab.Fanout)} {
		for _, match := range []lab.Term{lab.DstPort(port), lab.SrcPort(port)} {
			if _, err := chain.Add(tcp, match, queues); err != nil {
				return err
			}
		}
	}
	return nil
}

// addOnceRules has a connection keep the mark that a packet of it gets with its
// verdict, and its other packets pass. They are there only while they are measured:
// with them the kernel tracks all connections. It returns what takes them away.
func (s *site) addOnceRules() (remove func() error, err error) {
	before, err := s.net.Chain(lab.IPv4, lab.Forward, 1)
	if err != nil {
		return nil, err
	}
	after, err := s.net.Chain(lab.IPv4, lab.Forward, 2)
	if err != nil {
		return nil, err
	}
	for _, port := range []lab.Term{lab.DstPort(routedOncePort), lab.SrcPort(routedOncePort)} {
		if _, err := before.Add(lab.L4(unix.IPPROTO_TCP), port, lab.CTMark(subject.Passed), lab.Accept()); err != nil {
			return nil, err
		}
		if _, err := before.Add(lab.L4(unix.IPPROTO_TCP), port, lab.Queue(0)); err != nil {
			return nil, err
		}
	}
	_, err = after.Add(lab.Mark(subject.Passed), lab.SetCTMark(subject.Passed))
	return func() error { return errors.Join(before.Delete(), after.Delete()) }, err
}

// address returns where the server behind the router is, for an entry.
func (e entry) routed() string {
	port := routedPort
	switch {
	case e.program == "":
		port = routedBarePort
	case e.once:
		port = routedOncePort
	case e.queues == 2:
		port = routedTwoPort
	}
	return fmt.Sprintf("%s:%d", server.Addr(), port)
}

// decideDuring has the entry's program decide on packets while f runs, and
// returns f's sample with the packets and the CPU time of the program.
func (h *harness) decideDuring(e entry, f func() (sample, error)) (sample, error) {
	if e.program == "" {
		return f()
	}
	if e.once {
		remove, err := h.site.addOnceRules()
		if err != nil {
			return sample{}, err
		}
		defer remove()
	}
	args := []string{h.path(e.program), "-maxlen", "16384"}
	if e.queues > 0 {
		args = append(args, "-queues", strconv.Itoa(e.queues))
	}
	p, err := launch(append(args, e.args...)...)
	if err != nil {
		return sample{}, err
	}
	defer p.end()
	if err := p.release(); err != nil {
		return sample{}, err
	}
	s, err := f()
	if err != nil {
		return s, err
	}
	p.stop()
	r, err := p.result()
	r.WallNS = s.WallNS // of the traffic, not of the program's life
	s.Result = r
	return s, err
}

// routeStream measures what a TCP connection carries through the router.
func routeStream(h *harness, e entry) (sample, error) {
	return h.decideDuring(e, func() (sample, error) { return h.carry(h.site.peer, h.site.server, e.routed()) })
}

// routeHTTP returns how many requests are answered through the router, over 16
// connections at a time that are kept open, or closed after each request.
func routeHTTP(args ...string) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (sample, error) {
		return h.decideDuring(e, func() (sample, error) { return h.browse(e.routed(), args) })
	}
}

// browse runs a server and a client.
func (h *harness) browse(address string, args []string) (s sample, err error) {
	var web *process
	err = h.site.server.Do(func() error {
		web, err = launch(h.path("web"), "-serve", address)
		return err
	})
	if err != nil {
		return s, err
	}
	defer web.end()
	client := exec.Command(h.path("web"), append([]string{"-get", address, "-time", h.scale.stream.String()}, args...)...)
	var out []byte
	err = h.site.peer.Do(func() error {
		out, err = client.Output()
		return err
	})
	if err != nil {
		return s, said(err)
	}
	if err := json.Unmarshal(out, &s.Result); err != nil {
		return s, err
	}
	s.Requests = s.Packets
	return s, nil
}

// connect measures a client, a server and a handler in one program.
func connect(count int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		p, err := launch(append([]string{h.path(e.program), "-count", strconv.Itoa(count)}, e.args...)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := p.release(); err != nil {
			return s, err
		}
		if s.Result, err = p.result(); err != nil {
			return s, err
		}
		return check(s, count)
	}
}
