package nflog

import (
	"encoding/binary"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
)

// This file has the messages that configure a group.

// Bind returns the message that Open sends for a group. It both binds and configures
// the group, so that no packet is logged with other settings. The group need not be in
// Groups. The error names an invalid field.
func (c Config) Bind(group uint16) (nfnl.Message, error) {
	if err := c.checkParams(); err != nil {
		return nfnl.Message{}, err
	}
	return nfnl.Message(c.withDefaults().bind(group)), nil
}

// bind is Bind with the defaults filled in.
func (c Config) bind(group uint16) engine.Message {
	m := command(group, commandBind)
	m.Attrs = c.appendParams(m.Attrs)
	return m
}

// Unbind returns the message that unbinds a group. The kernel delivers the packets it
// has collected before it answers.
func (c Config) Unbind(group uint16) nfnl.Message {
	return nfnl.Message(command(group, commandUnbind))
}

// change returns the message that configures a group which is already bound to
// the socket, with the defaults filled in. The kernel's default buffer size
// cannot be set; the smallest size that can be set is just above it.
func (c Config) change(group uint16) engine.Message {
	c.BufferSize = max(c.BufferSize, minBufferSize())
	return engine.Message{
		Type: typeConfig, Resource: group,
		Attrs: c.appendParams(nil),
	}
}

// command returns a message with one command: struct nfulnl_msg_config_cmd is
// 8 bits.
func command(group uint16, cmd byte) engine.Message {
	return engine.Message{
		Type: typeConfig, Resource: group,
		Attrs: attr.AppendUint8(nil, attrConfigCommand, cmd),
	}
}

// appendParams appends all but the command. struct nfulnl_msg_config_mode is
// packed:
//
//	 0             4      5         6
//	+-------------+------+---------+
//	| copy range  | mode | padding |
//	+-------------+------+---------+
func (c Config) appendParams(b []byte) []byte {
	mode := [6]byte{4: copyPacket}
	if c.MetadataOnly {
		mode[4] = copyMeta
	}
	binary.BigEndian.PutUint32(mode[:], c.CopyRange)
	b = attr.AppendBytes(b, attrConfigMode, mode[:])
	b = attr.AppendUint32(b, attrConfigTimeout, uint32(c.FlushTimeout/timeoutUnit))
	if c.BufferSize != 0 {
		b = attr.AppendUint32(b, attrConfigBufferSize, c.BufferSize)
	}
	b = attr.AppendUint32(b, attrConfigThreshold, c.Threshold)
	return attr.AppendUint16(b, attrConfigFlags, c.flags())
}
