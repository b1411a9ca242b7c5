// Package format writes packets, names and errors as nfqueue and nflog show them, so
// that people can read also what strangers have chosen.
package format

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name returns the name of an interface as it is, or quoted in Go's syntax if it
// could be taken for something else: whoever may rename an interface can put
// nearly any byte into its name, also escape sequences for the terminal, invalid
// UTF-8, and marks that turn the direction of writing.
func Name(s string) string {
	for i, r := range s {
		if !unicode.IsPrint(r) || strings.ContainsRune("\",\\= ", r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return strconv.Quote(s)
		}
	}
	return s
}
