// Package attr reads and writes netlink attributes, the type-length-value
// records that follow the header of an nfnetlink message:
//
//	 0           2           4                   length          next
//	+-----------+-----------+-------------------+---------------+
//	|  length   |   type    |       value       |  0-3 padding  |
//	+-----------+-----------+-------------------+---------------+
//
// The length counts the header and the value, but not the padding, which aligns the
// next attribute to a multiple of four bytes. The two highest bits of the type are
// flags, for a value that is a list of attributes or in network byte order. See struct
// nlattr in the kernel's include/uapi/linux/netlink.h.
//
// # Byte order
//
// Length and type are in host byte order, the integers inside a value in
// network byte order. The functions of this package convert both, so that
// callers use Go integers. The one exception in netfilter is the bit set of
// conntrack labels, an array of words in host byte order (see
// [ConntrackLabels]).
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
// The loop ignores types that it has no case for, so that a program keeps
// working on a newer kernel.
//
// Decoding copies no values: every returned slice aliases the input and is
// valid as long as the input is. Its capacity equals its length, so that append
// copies it and never overwrites the next attribute. Decoding allocates only to
// report an error.
//
// # Encoding
//
// The Append functions append one attribute, with its padding, to a buffer of
// the caller and return the extended buffer, as the built-in append does:
//
//	b = attr.AppendUint32(b, mark, 0x2a)
//
// The buffer's length must be a multiple of four, as it is after a message
// header and after any attribute. The functions copy their arguments, and
// allocate only if the buffer is too small.
package attr
