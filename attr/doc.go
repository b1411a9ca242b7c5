// Package attr reads and writes netlink attributes, the type-length-value
// records that follow the header of an nfnetlink message:
//
//	 0           2           4                   length          next
//	+-----------+-----------+-------------------+---------------+
//	|  length   |   type    |       value       |  0-3 padding  |
//	+-----------+-----------+-------------------+---------------+
//
// The length counts the header and the value, not the padding that brings the
// next attribute to a multiple of four bytes. The two highest bits of the type
// are flags: the value is a list of attributes, or is in network byte order.
// See struct nlattr in the kernel's include/uapi/linux/netlink.h.
//
// # Byte order
//
// Length and type are in host byte order, the integers inside a value in
// network byte order. The functions of this package know that; their users
// deal in plain integers. The one exception in netfilter is the bit set of
// conntrack labels, which is made of host-order words.
//
// # Decoding
//
// A [Decoder] walks a list of attributes and keeps the first error:
//
//	const mark, prefix = 2, 10 // NFULA_MARK, NFULA_PREFIX
//
//	d := attr.NewDecoder(b)
//	for d.Next() {
//		switch d.Type() {
//		case mark:
//			p.Mark = d.Uint32()
//		case prefix:
//			p.Prefix = d.CString()
//		}
//	}
//	return d.Err()
//
// Types the caller doesn't know are skipped, so that a program keeps working
// on a newer kernel.
//
// Nothing is copied: every slice returned is a part of the input, valid as long
// as that is, and cut to its capacity, so that an append to it can't write over
// the attribute that follows. Decoding allocates only to report an error.
//
// # Encoding
//
// The Append functions add one attribute, with its padding, to a buffer of the
// caller's, and return the longer buffer:
//
//	b = attr.AppendUint32(b, mark, 0x2a)
//
// The buffer's length is to be a multiple of four, which it is after a message
// header and after any attribute. They allocate only if the buffer is too small.
package attr
