package format

import (
	"bytes"
	"context"
	"log/slog"
)

// MarshalGroup returns a slog group as a JSON object, in the order of its
// attributes and as slog.JSONHandler writes it.
func MarshalGroup(group slog.Value) ([]byte, error) {
	var b bytes.Buffer
	h := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: withoutMessage})
	var r slog.Record
	r.AddAttrs(group.Group()...)
	err := h.Handle(context.Background(), r)
	return bytes.TrimSpace(b.Bytes()), err
}

// withoutMessage leaves out what a log record has and a group has not. The time
// of a zero Record is left out anyway.
func withoutMessage(groups []string, a slog.Attr) slog.Attr {
	_, level := a.Value.Any().(slog.Level)
	if len(groups) == 0 && (a.Key == slog.LevelKey && level || a.Key == slog.MessageKey && a.Value.String() == "") {
		return slog.Attr{}
	}
	return a
}
