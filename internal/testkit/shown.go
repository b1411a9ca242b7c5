package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Logged returns what slog's text handler makes of a value.
func Logged(key string, v any) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("", key, v)
	_, attrs, _ := strings.Cut(strings.TrimSpace(b.String()), `msg="" `)
	return attrs
}

// JSON returns a value as JSON.
func JSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	Must(t, err)
	return string(b)
}

// WantShown reports an error of the test unless a value and a copy of what it points
// to read as text, are logged and are JSON like that, also within other values.
func WantShown[T any](t testing.TB, name string, v *T, text, log, object string) {
	t.Helper()
	for _, v := range []any{v, *v} {
		if got := fmt.Sprint(v); got != text {
			t.Errorf("%s: %T reads %q\nwant %q", name, v, got, text)
		}
		if got := Logged("p", v); got != log {
			t.Errorf("%s: %T is logged %q\nwant %q", name, v, got, log)
		}
		if got := JSON(t, v); got != object {
			t.Errorf("%s: JSON of %T %s\nwant %s", name, v, got, object)
		}
	}
	if got := JSON(t, struct{ P any }{[]any{*v}}); got != `{"P":[`+object+`]}` {
		t.Errorf("%s: JSON within others %s", name, got)
	}
}

// Names is a table of the names of interfaces.
type Names map[int]string

// Name returns the name of the interface with an index, "" if there is none.
func (n Names) Name(index int) string { return n[index] }
