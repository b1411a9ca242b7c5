package main

import "unicode/utf8"

// A view is what the user has chosen to see.
type view struct {
	paused  bool
	sort    int // index in columns
	reverse bool
	filter  string // a part of the flow's name
	typing  bool   // the filter
}

// Keys with a meaning of their own.
const (
	escape    = 0x1b
	backspace = 0x7f
	controlH  = 0x08
)

// press changes the view as keys say that came together, and reports whether the
// user wants to quit. An arrow or function key comes as a sequence that begins with
// Esc; none of them has a meaning here.
func (v *view) press(keys string) (quit bool) {
	if len(keys) > 1 && keys[0] == escape {
		return false
	}
	for _, key := range keys {
		if v.typing {
			v.typed(key)
		} else if v.command(key) {
			return true
		}
	}
	return false
}

// command is a key while the filter is not typed.
func (v *view) command(key rune) (quit bool) {
	switch key {
	case 'q', 'Q':
		return true
	case 'p', ' ':
		v.paused = !v.paused
	case 's':
		v.sort = (v.sort + 1) % len(columns)
	case 'r':
		v.reverse = !v.reverse
	case '/':
		v.typing = true
	case escape:
		v.filter = ""
	}
	return false
}

// typed is a key of the filter.
func (v *view) typed(key rune) {
	switch {
	case key == '\n' || key == '\r':
		v.typing = false
	case key == escape:
		v.typing, v.filter = false, ""
	case key == backspace || key == controlH:
		_, n := utf8.DecodeLastRuneInString(v.filter)
		v.filter = v.filter[:len(v.filter)-n]
	case key >= ' ' && key != utf8.RuneError:
		v.filter += string(key)
	}
}
