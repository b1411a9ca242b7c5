package format_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/format"
)

func TestSummaryOfNothing(t *testing.T) {
	var s format.Summary
	if got, want := s.String(), "unspec prerouting, EtherType 0x0000"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b, err := format.MarshalGroup(slog.GroupValue(s.Append(nil)...))
	if got, want := string(b), `{"family":"unspec","hook":"prerouting","ethertype":"0x0000"}`; got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// long is the header of a packet of 1500 bytes.
var long = []byte{0x45, 0, 5, 220, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}

func TestLengthOfASummary(t *testing.T) {
	huge := append([]byte(nil), long...)
	huge[2], huge[3] = 0, 0 // above 64 KiB
	for _, c := range []struct {
		s    format.Summary
		want string
	}{
		{format.Summary{Payload: long}, "1500"},
		{format.Summary{Payload: long, Len: 1600}, "1600"},
		{format.Summary{Payload: huge}, "20"},
		{format.Summary{Payload: []byte{0, 1, 8}}, "3"},
	} {
		for _, a := range c.s.Append(nil) {
			if a.Key == "len" && a.Value.String() != c.want {
				t.Errorf("length %v, want %s", a.Value, c.want)
			}
		}
	}
}

func TestMarshalGroup(t *testing.T) {
	for _, c := range []struct {
		attrs []slog.Attr
		want  string
	}{
		{nil, `{}`},
		{[]slog.Attr{slog.Int("b", 1), slog.String("a", "<\"\n")}, `{"b":1,"a":"<\"\n"}`},
		{[]slog.Attr{slog.Group("in", slog.Bool("a", true)), slog.Any("list", []int{1, 2})}, `{"in":{"a":true},"list":[1,2]}`},
		// What a log record has too is not lost.
		{[]slog.Attr{slog.Time("time", time.Unix(0, 0).UTC()), slog.String("level", "low"), slog.String("msg", "hi")},
			`{"time":"1970-01-01T00:00:00Z","level":"low","msg":"hi"}`},
	} {
		b, err := format.MarshalGroup(slog.GroupValue(c.attrs...))
		if string(b) != c.want || err != nil {
			t.Errorf("got %s, %v, want %s", b, err, c.want)
		}
	}
}
