package nfqueue

import (
	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file has the messages that configure a queue.

// flags returns the flags to set; all others that this package knows are
// cleared.
func (c Config) flags() uint32 {
	f := c.Flags
	for _, o := range []struct {
		on   bool
		flag uint32
	}{
		{c.FailOpen, flagFailOpen},
		{c.Conntrack, flagConntrack},
		{!c.Segment, flagGSO},
		{c.Owner, flagOwner},
		{c.SecurityContext, flagSecurity},
	} {
		if o.on {
			f |= o.flag
		}
	}
	return f
}

// Bind returns the message that Open sends. It both binds and configures the queue, so
// that no packet is queued with other settings. The error names an invalid field.
func (c Config) Bind() (nfnl.Message, error) {
	if err := c.check(); err != nil {
		return nfnl.Message{}, err
	}
	return nfnl.Message(c.bind()), nil
}

// bind is Bind of a Config that was checked.
func (c Config) bind() engine.Message {
	m := c.command(commandBind)
	m.Attrs = c.withDefaults().appendParams(m.Attrs)
	return m
}

// Unbind returns the message that unbinds the queue. The kernel then drops the packets
// that wait in it.
func (c Config) Unbind() nfnl.Message { return nfnl.Message(c.command(commandUnbind)) }

// adopt returns the message that sets up a queue which the socket has already.
func (c Config) adopt() engine.Message {
	return engine.Message{
		Type: typeConfig, Resource: c.Queue,
		Attrs: c.withDefaults().appendParams(nil),
	}
}

// command returns a message with one command, struct nfqnl_msg_config_cmd:
//
//	 0         1         2             4
//	+---------+---------+-------------+
//	| command | padding | family, 0   |
//	+---------+---------+-------------+
func (c Config) command(cmd byte) engine.Message {
	return engine.Message{
		Type: typeConfig, Resource: c.Queue,
		Attrs: attr.AppendBytes(nil, attrConfigCommand, []byte{cmd, 0, 0, 0}),
	}
}

// appendParams appends all but the command. struct nfqnl_msg_config_params is
// a packed 32-bit copy range and an 8-bit mode.
func (c Config) appendParams(b []byte) []byte {
	mode := byte(copyPacket)
	if c.MetadataOnly {
		mode = copyMeta
	}
	r := c.CopyRange
	b = attr.AppendBytes(b, attrConfigParams, []byte{byte(r >> 24), byte(r >> 16), byte(r >> 8), byte(r), mode})
	b = attr.AppendUint32(b, attrConfigMaxLen, c.MaxLen)
	b = attr.AppendUint32(b, attrConfigFlags, c.flags())
	return attr.AppendUint32(b, attrConfigMask, knownFlags|c.Flags)
}
