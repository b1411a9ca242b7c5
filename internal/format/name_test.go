package format

import "testing"

func TestOddNamesAreQuoted(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "",
		"eth0":                   "eth0",
		"br-1234.100@if7_x#":     "br-1234.100@if7_x#",
		"büro-\u4e2d":            "büro-\u4e2d",
		"\ufffd":                 "\ufffd",
		"\x1b]0;pwn\a\x1b[2J":    `"\x1b]0;pwn\a\x1b[2J"`,
		"\xff\xfeeth0":           `"\xff\xfeeth0"`,
		"e\u202e0hte":            `"e\u202e0hte"`,
		"e,mark0x7":              `"e,mark0x7"`,
		"in=x":                   `"in=x"`,
		"a b":                    `"a b"`,
		`"eth0"`:                 `"\"eth0\""`,
		`eth\x30`:                `"eth\\x30"`,
		"eth0\u200b":             `"eth0\u200b"`,
		"eth0\u00a0":             `"eth0\u00a0"`,
		"x\x7f":                  `"x\x7f"`,
		"\u2066admin\u2069 nobr": `"\u2066admin\u2069 nobr"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
		}
	}
}
