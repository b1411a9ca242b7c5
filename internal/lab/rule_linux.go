package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableName is the name of the one table of each family that the lab uses.
const tableName = "lab"

// serial numbers chains and rules, so that each can be told from the others.
var serial atomic.Uint32

// A Chain is a base chain: a list of rules that packets meet at a hook. Its
// policy is to accept.
type Chain struct {
	net *Net
	nft *nftables.Chain
}

// Chain attaches a new chain to a hook. Chains with a lower priority see packets
// first; 0 is the usual one, -400 to -300 lies before connection tracking. For
// [Netdev] use [Net.DeviceChain].
func (n *Net) Chain(f Family, h Hook, priority int) (*Chain, error) {
	return n.addChain(f, h, priority, "", nftables.ChainTypeFilter)
}

// DeviceChain attaches a new chain of family [Netdev] to the [Ingress] or
// [Egress] of one device.
func (n *Net) DeviceChain(device string, h Hook, priority int) (*Chain, error) {
	return n.addChain(Netdev, h, priority, device, nftables.ChainTypeFilter)
}

func (n *Net) addChain(f Family, h Hook, priority int, device string, kind nftables.ChainType) (*Chain, error) {
	policy := nftables.ChainPolicyAccept
	c := &Chain{net: n, nft: &nftables.Chain{
		Name:     fmt.Sprintf("%v-%d", h, serial.Add(1)),
		Table:    &nftables.Table{Name: tableName, Family: nftables.TableFamily(f)},
		Type:     kind,
		Hooknum:  h.number(f),
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority)),
		Policy:   &policy,
		Device:   device,
	}}
	err := n.nft(func(conn *nftables.Conn) {
		conn.AddTable(c.nft.Table)
		conn.AddChain(c.nft)
	})
	if err != nil {
		return nil, fmt.Errorf("lab: add chain at %v %v: %w", f, h, err)
	}
	return c, nil
}

// Flush removes all chains of the namespace. The kernel drops the packets that
// wait in any queue of the namespace when it does.
func (n *Net) Flush() error {
	err := n.nft(func(conn *nftables.Conn) { conn.FlushRuleset() })
	return wrap(err, "remove all chains")
}

// Delete removes the chain with its rules. The kernel drops the packets that
// wait in any queue of the namespace when it does, also those that this chain
// never saw.
func (c *Chain) Delete() error {
	err := c.net.nft(func(conn *nftables.Conn) { conn.DelChain(c.nft) })
	return wrap(err, "remove chain %v", c)
}

// String returns the family of the chain and its name, which begins with the
// hook.
func (c *Chain) String() string {
	return fmt.Sprintf("%v %s", Family(c.nft.Table.Family), c.nft.Name)
}

// A Rule is a rule of a chain, and counts the packets that match it.
type Rule struct {
	chain *Chain
	id    []byte // in the rule's user data: how the rule is found again
}

// lacksQueue is set once the kernel has shown that it has no nft queue
// expression but does have the NFQUEUE target of xtables.
var lacksQueue atomic.Bool

// Add appends a rule to the chain. Matches come first, all of which a packet
// must meet, then actions, in the order in which they are to be done; a rule
// without actions only counts.
//
// A kernel without nft's queue expression has queues for IPv4, IPv6 and Inet
// only; for other families the error then wraps [errors.ErrUnsupported].
func (c *Chain) Add(terms ...Term) (*Rule, error) {
	r := &Rule{chain: c, id: binary.BigEndian.AppendUint32(nil, serial.Add(1))}
	exprs := expressions(terms)
	compat := withTarget(exprs)
	var err error
	if compat == nil {
		err = r.add(exprs)
	} else {
		err = r.addQueue(exprs, compat)
	}
	if err != nil {
		return nil, fmt.Errorf("lab: add rule to chain %v: %w", c, err)
	}
	return r, nil
}

// addQueue adds the rule made of exprs if the kernel can, or else of compat.
func (r *Rule) addQueue(exprs, compat []expr.Any) error {
	if !lacksQueue.Load() {
		if err := r.add(exprs); !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	err := r.add(compat)
	switch f := Family(r.chain.nft.Table.Family); {
	case err == nil:
		lacksQueue.Store(true)
	case f != IPv4 && f != IPv6 && f != Inet:
		return fmt.Errorf("no queue expression in this kernel, and no NFQUEUE target for family %v: %w", f, errors.ErrUnsupported)
	}
	return err
}

func (r *Rule) add(exprs []expr.Any) error {
	return r.chain.net.nft(func(conn *nftables.Conn) {
		conn.AddRule(&nftables.Rule{Table: r.chain.nft.Table, Chain: r.chain.nft, Exprs: exprs, UserData: r.id})
	})
}

// Packets returns how many packets have met all matches of the rule.
func (r *Rule) Packets() (uint64, error) {
	rule, err := r.find()
	if err != nil {
		return 0, err
	}
	for _, e := range rule.Exprs {
		if counter, ok := e.(*expr.Counter); ok {
			return counter.Packets, nil
		}
	}
	return 0, fmt.Errorf("lab: a rule of chain %v has lost its counter", r.chain)
}

// Delete removes the rule. Packets in queues stay there.
func (r *Rule) Delete() error {
	rule, err := r.find()
	if err != nil {
		return err
	}
	err = r.chain.net.nft(func(conn *nftables.Conn) {
		_ = conn.DelRule(rule) // its only error is a rule without a handle
	})
	return wrap(err, "remove a rule of chain %v", r.chain)
}

func (r *Rule) find() (*nftables.Rule, error) {
	conn, err := r.chain.net.nftConn()
	if err != nil {
		return nil, err
	}
	rules, err := conn.GetRules(r.chain.nft.Table, r.chain.nft)
	if err != nil {
		return nil, fmt.Errorf("lab: list chain %v: %w", r.chain, err)
	}
	for _, rule := range rules {
		if bytes.Equal(rule.UserData, r.id) {
			return rule, nil
		}
	}
	return nil, fmt.Errorf("lab: the rule is no longer in chain %v", r.chain)
}

// nft does as one transaction what f puts on the connection.
func (n *Net) nft(f func(*nftables.Conn)) error {
	conn, err := n.nftConn()
	if err != nil {
		return err
	}
	f(conn)
	return conn.Flush()
}

func (n *Net) nftConn() (*nftables.Conn, error) {
	return nftables.New(nftables.WithNetNSFd(n.FD()), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetDeadline(time.Now().Add(answerTime))
	}))
}

// withTarget returns exprs with the queue expression replaced by the NFQUEUE
// target of xtables, which means the same, or nil if there is no queue.
func withTarget(exprs []expr.Any) []expr.Any {
	i := slices.IndexFunc(exprs, func(e expr.Any) bool { _, ok := e.(*expr.Queue); return ok })
	if i < 0 {
		return nil
	}
	q := exprs[i].(*expr.Queue)
	// struct xt_NFQ_info_v3, padded as xtables pads: unlike nft's, its numbers
	// are in the byte order of the machine.
	var info xt.Unknown
	for _, v := range []uint16{q.Num, q.Total, uint16(q.Flag), 0} {
		info = binary.NativeEndian.AppendUint16(info, v)
	}
	compat := slices.Clone(exprs)
	compat[i] = &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
	return compat
}

// Flowtable makes a table of the connections between devices that [FlowOffload]
// takes from the usual way.
func (n *Net) Flowtable(f Family, name string, devices ...string) error {
	err := n.nft(func(conn *nftables.Conn) {
		table := conn.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamily(f)})
		conn.AddFlowtable(&nftables.Flowtable{
			Table: table, Name: name, Devices: devices,
			Hooknum: nftables.FlowtableHookIngress, Priority: nftables.FlowtablePriorityFilter,
		})
	})
	return unsupported(wrap(err, "make flow table %s", name))
}
