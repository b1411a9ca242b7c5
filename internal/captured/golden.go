package captured

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CompareText compares what a test made of a file with the text that stands
// beside it; with update it writes that instead.
func (f File) CompareText(t *testing.T, got string, update bool) {
	t.Helper()
	name := strings.TrimSuffix(f.Name, ".pcap") + ".txt"
	if update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Describe returns a line for each exported field of a struct that is not zero.
func Describe(prefix string, value any) string {
	var w strings.Builder
	describe(&w, prefix, reflect.ValueOf(value))
	return w.String()
}

func describe(w *strings.Builder, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		name, field := prefix+v.Type().Field(i).Name, v.Field(i)
		if !v.Type().Field(i).IsExported() || field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0 {
			continue
		}
		switch value := field.Interface().(type) {
		case time.Time:
			fmt.Fprintf(w, "%s %s\n", name, value.UTC().Format(time.RFC3339Nano))
		case netip.AddrPort, fmt.Stringer:
			if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[netip.AddrPort]() {
				describe(w, name+".", field) // its text does not have all
				continue
			}
			fmt.Fprintf(w, "%s %v\n", name, value)
		case []byte:
			if text := strconv.Quote(string(value)); len(text) == len(value)+2 {
				fmt.Fprintf(w, "%s %s\n", name, text)
			} else {
				fmt.Fprintf(w, "%s %x\n", name, value)
			}
		default:
			switch field.Kind() {
			case reflect.Struct:
				describe(w, name+".", field)
			case reflect.Array:
				fmt.Fprintf(w, "%s %x\n", name, value)
			default:
				fmt.Fprintf(w, "%s %v\n", name, value)
			}
		}
	}
}
