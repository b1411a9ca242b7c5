package nfqueuetest

import (
	"encoding/binary"
	"syscall"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// settings are what a queue is configured with.
type settings struct {
	copyRange uint32
	mode      uint8
	maxLen    uint32
	flags     uint32
}

// A request is a configuration message, taken apart.
type request struct {
	command                                             uint8
	copyRange                                           uint32
	mode                                                uint8
	maxLen, mask, flags                                 uint32
	hasCommand, hasParams, hasMaxLen, hasMask, hasFlags bool
}

// readRequest checks the lengths that the kernel's policy asks for.
func readRequest(m nfnl.Message) (r request, err error) {
	d := attr.NewDecoder(m.Attrs)
	for d.Next() {
		switch d.Type() {
		case attrConfigCommand:
			r.command, r.hasCommand = d.Fixed(4)[0], true
		case attrConfigParams:
			v := d.Fixed(5)
			r.copyRange, r.mode, r.hasParams = binary.BigEndian.Uint32(v), v[4], true
		case attrConfigMaxLen:
			r.maxLen, r.hasMaxLen = d.Uint32(), true
		case attrConfigMask:
			r.mask, r.hasMask = d.Uint32(), true
		case attrConfigFlags:
			r.flags, r.hasFlags = d.Uint32(), true
		}
	}
	if d.Err() != nil {
		return r, syscall.ERANGE
	}
	return r, nil
}

// configure does what a configuration message says, in the order of
// nfqnl_recv_config: flags are checked before anything happens.
func (k *Kernel) configure(m nfnl.Message) error {
	r, err := readRequest(m)
	switch {
	case err != nil:
		return err
	case r.command == commandPFBind || r.command == commandPFUnbind:
		return nil // as if nothing had been asked, since 3.8
	case r.hasFlags && !r.hasMask:
		return syscall.EINVAL
	case r.hasFlags && r.flags >= flagMax:
		return syscall.EOPNOTSUPP
	}
	if r.hasCommand {
		if err := k.command(r.command, m.Resource); err != nil || r.command == commandUnbind {
			return err
		}
	}
	if !k.has(m.Resource) {
		return syscall.ENODEV
	}
	k.settings.apply(r)
	return nil
}

// command binds or unbinds.
func (k *Kernel) command(command uint8, queue uint16) error {
	switch {
	case command == commandBind && k.has(queue):
		return syscall.EBUSY
	case command == commandBind && k.bound:
		k.t.Errorf("the fake kernel has room for one queue, which is %d", k.number)
		return syscall.EBUSY
	case command == commandBind:
		k.bound, k.number, k.lastID = true, queue, 0
		k.settings = settings{copyRange: maxCopyRange, mode: copyNone, maxLen: defaultMaxLen}
		return nil
	case command == commandUnbind && !k.has(queue):
		return syscall.ENODEV
	case command == commandUnbind:
		k.bound, k.waiting = false, nil
		return nil
	}
	return syscall.EOPNOTSUPP
}

// has reports whether the queue is bound.
func (k *Kernel) has(queue uint16) bool { return k.bound && k.number == queue }

// apply changes what r has. A mode that does not exist is ignored.
func (s *settings) apply(r request) {
	if r.hasParams {
		switch r.mode {
		case copyNone, copyMeta:
			s.mode, s.copyRange = r.mode, 0
		case copyPacket:
			s.mode, s.copyRange = r.mode, r.copyRange
			if s.copyRange == 0 || s.copyRange > maxCopyRange {
				s.copyRange = maxCopyRange
			}
		}
	}
	if r.hasMaxLen {
		s.maxLen = r.maxLen
	}
	if r.hasFlags {
		s.flags = s.flags&^r.mask | r.flags&r.mask
	}
}
