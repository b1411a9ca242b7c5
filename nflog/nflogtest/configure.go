package nflogtest

import (
	"encoding/binary"
	"syscall"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// answer answers a request, as nfulnl_recv_config does.
func (k *Kernel) answer(m nfnl.Message) error {
	if err := k.refusal(m); err != nil {
		return err
	}
	switch m.Type {
	case typePacket:
		return errNotSupp
	case typeConfig:
		return k.configure(m)
	}
	return syscall.EINVAL
}

// refusal asks what Refuse has set, without the lock, for it may use k.
func (k *Kernel) refusal(m nfnl.Message) error {
	k.mu.Lock()
	f := k.refuse
	k.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(m)
}

// configure does what a configuration message says.
func (k *Kernel) configure(m nfnl.Message) error {
	s, err := readSettings(m)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.groups[m.Resource]
	switch {
	case s.command == commandBindFamily, s.command == commandUnbindFamily:
		return k.setLogger(m.Family, s.command == commandBindFamily)
	case s.command == commandBind && g != nil:
		return syscall.EBUSY
	case s.command == commandBind:
		g = k.bind(m.Resource)
	case s.hasCommand && s.command != commandUnbind:
		return errNotSupp
	case g == nil:
		return syscall.ENODEV
	case s.hasCommand:
		k.flushGroup(m.Resource)
		delete(k.groups, m.Resource)
		return nil
	}
	s.apply(g)
	return nil
}

// setLogger makes NFLOG the logger of a family, or leaves it without one.
func (k *Kernel) setLogger(f nfnl.Family, on bool) error {
	if int(f) < len(k.loggers) {
		k.loggers[f] = on
	} else if on {
		return syscall.EINVAL
	}
	return nil
}

// bind makes a group with the kernel's defaults.
func (k *Kernel) bind(number uint16) *group {
	if len(k.groups) == 0 {
		k.first = number
	}
	g := &group{copyRange: maxCopyRange}
	k.groups[number] = g
	return g
}

// settings are what a configuration message says.
type settings struct {
	command    uint8
	hasCommand bool
	mode       []byte
	flags      uint16
	hasFlags   bool
}

// readSettings reads a message as the kernel's policy does.
func readSettings(m nfnl.Message) (s settings, err error) {
	d := attr.NewDecoder(m.Attrs)
	for d.Next() {
		switch d.Type() {
		case attrConfigCommand:
			s.command, s.hasCommand = d.Uint8(), true
		case attrConfigMode:
			s.mode = d.Fixed(6)
		case attrConfigBufferSize, attrConfigTimeout, attrConfigThreshold:
			d.Uint32() // packets are collected as the test says
		case attrConfigFlags:
			s.flags, s.hasFlags = d.Uint16(), true
		}
	}
	if d.Err() != nil {
		return s, syscall.ERANGE
	}
	return s, nil
}

// apply sets what a group has of s.
func (s settings) apply(g *group) {
	if s.hasFlags {
		g.flags = s.flags
	}
	if s.mode == nil {
		return
	}
	g.copyRange = int(min(binary.BigEndian.Uint32(s.mode), maxCopyRange))
	if g.copyRange == 0 {
		g.copyRange = maxCopyRange
	}
	if s.mode[4] != copyPacket {
		g.copyRange = 0
	}
}
