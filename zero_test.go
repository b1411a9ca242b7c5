package nfpacket

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// opened are the types that a function returns a pointer to, or an error and nil.
var opened = []reflect.Type{
	reflect.TypeFor[nfnl.Conn](), reflect.TypeFor[nfnl.Links](),
	reflect.TypeFor[nfqueue.Queue](), reflect.TypeFor[nfqueue.Queues](), reflect.TypeFor[nflog.Reader](),
}

// values are the other exported types with methods.
var values = []reflect.Type{
	reflect.TypeFor[attr.Conntrack](), reflect.TypeFor[attr.ConntrackInfo](), reflect.TypeFor[attr.ConntrackLabels](),
	reflect.TypeFor[attr.ConntrackStatus](), reflect.TypeFor[attr.DCCPState](), reflect.TypeFor[attr.Decoder](),
	reflect.TypeFor[attr.Expectation](), reflect.TypeFor[attr.SCTPState](),
	reflect.TypeFor[attr.TCPFlags](), reflect.TypeFor[attr.TCPState](), reflect.TypeFor[attr.Tuple](), reflect.TypeFor[attr.VLAN](),
	reflect.TypeFor[nfnl.Error](), reflect.TypeFor[nfnl.Family](),
	reflect.TypeFor[nfnl.Flow](), reflect.TypeFor[nfnl.TCPFlags](), reflect.TypeFor[nfnl.Hook](), reflect.TypeFor[nfnl.Message](), reflect.TypeFor[nfnl.OverrunError](),
	reflect.TypeFor[nfqueue.Action](), reflect.TypeFor[nfqueue.Config](), reflect.TypeFor[nfqueue.Named](), reflect.TypeFor[nfqueue.Packet](),
	reflect.TypeFor[nfqueue.PacketError](), reflect.TypeFor[nfqueue.PanicError](), reflect.TypeFor[nfqueue.Stats](), reflect.TypeFor[nfqueue.Ticket](), reflect.TypeFor[nfqueue.Verdict](),
	reflect.TypeFor[nflog.Config](), reflect.TypeFor[nflog.Stats](), reflect.TypeFor[nflog.GroupStats](), reflect.TypeFor[nflog.Named](), reflect.TypeFor[nflog.Packet](),
}

// No method of a zero value panics, whatever it is for.
func TestZeroValuesDoNotPanic(t *testing.T) {
	for _, typ := range append(opened, values...) {
		callAll(t, reflect.New(typ))
	}
}

// What failed to open is nil, and a program that goes on with it gets errors.
func TestNilOfWhatIsOpenedDoesNotPanic(t *testing.T) {
	for _, typ := range opened {
		callAll(t, reflect.Zero(reflect.PointerTo(typ)))
	}
}

// A packet is shown without the names that could not be had.
func TestNilLinksNameNothing(t *testing.T) {
	var links *nfnl.Links
	queued, logged := nfqueue.Packet{InDev: 7}, nflog.Packet{InDev: 7}
	if got, want := queued.Named(links).String(), queued.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := logged.Named(links).String(), logged.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The lists above have all types.
func TestNoTypeIsMissing(t *testing.T) {
	listed := map[string]bool{}
	for _, typ := range append(opened, values...) {
		listed[typ.String()] = true
	}
	for _, pkg := range []string{"attr", "nfnl", "nfqueue", "nflog"} {
		for _, name := range typesWithMethods(t, pkg) {
			if !listed[pkg+"."+name] {
				t.Errorf("%s.%s is not listed", pkg, name)
			}
		}
	}
}

// callAll calls the methods of v with zero values, and pointers to such.
func callAll(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.NumMethod() == 0 {
		t.Errorf("%v has no methods", v.Type())
	}
	for i := range v.NumMethod() {
		call(t, v, i)
	}
}

// call calls a method.
func call(t *testing.T, v reflect.Value, i int) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%v.%s: %v", v.Type(), v.Type().Method(i).Name, r)
		}
	}()
	m := v.Method(i)
	var in []reflect.Value
	for i := range m.Type().NumIn() {
		in = append(in, argument(t, m.Type().In(i)))
	}
	m.Call(in)
}

// argument returns what to call a method with.
func argument(t *testing.T, typ reflect.Type) reflect.Value {
	switch {
	case typ == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(t.Context())
	case typ.Kind() == reflect.Pointer:
		return reflect.New(typ.Elem())
	}
	return reflect.Zero(typ)
}

// typesWithMethods returns the exported types of a package that have exported
// methods.
func typesWithMethods(t *testing.T, pkg string) (names []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), path.Join(pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has %d files: %v", pkg, len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.IsExported() {
				if name := receiver(f); ast.IsExported(name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	return typ.(*ast.Ident).Name
}
