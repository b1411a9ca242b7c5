package nfpacket

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
)

// A value is shown as what a pointer to it is: fmt, log/slog and encoding/json
// find the same methods on both.
func TestValuesAreShownAsPointersToThemAre(t *testing.T) {
	for _, typ := range values {
		for _, shows := range []reflect.Type{
			reflect.TypeFor[fmt.Stringer](), reflect.TypeFor[slog.LogValuer](), reflect.TypeFor[json.Marshaler](),
		} {
			if reflect.PointerTo(typ).Implements(shows) && !typ.Implements(shows) {
				t.Errorf("*%v is a %v, and %v is not", typ, shows, typ)
			}
		}
	}
}
