package testkit

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// Garble returns a message with something wrong: cut, with bytes changed, or of
// another kind. Its first attribute that matters begins at an offset.
func Garble(rnd *rand.Rand, message []byte, attribute int) []byte {
	message = bytes.Clone(message)
	switch rnd.IntN(4) {
	case 0:
		return message[:1+rnd.IntN(len(message)-1)]
	case 1:
		binary.NativeEndian.PutUint32(message, rnd.Uint32()) // its length
	case 2:
		binary.NativeEndian.PutUint16(message[4:], uint16(rnd.IntN(1<<16))|0x0800) // its type
	default:
		binary.NativeEndian.PutUint16(message[attribute:], uint16(rnd.IntN(4))) // an attribute's length
	}
	return message
}
