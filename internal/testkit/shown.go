package testkit

import (
	"bytes"
	"encoding/json"
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

// Names is a table of the names of interfaces.
type Names map[int]string

func (n Names) Name(index int) string { return n[index] }
