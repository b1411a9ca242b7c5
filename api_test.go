package nfpacket

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// mostNames is how many names a package of values may export. Constants, variables,
// functions, types and methods count, those of aliases too; fields do not.
var mostNames = map[string]int{"nfnl": 60, "attr": 110}

func TestPublicNamesAreFew(t *testing.T) {
	for dir, most := range mostNames {
		names := exported(t, dir)
		if len(names) > most {
			t.Errorf("%s exports %d names, more than %d: %s", dir, len(names), most, strings.Join(names, " "))
		}
	}
}

// exported returns the names that a package exports.
func exported(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, decl := range declarations(t, dir) {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if of := methodOf(d); of == "" || ast.IsExported(of) {
				names = appendExported(names, of+".", d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					names = appendExported(names, "", s.Names...)
				case *ast.TypeSpec:
					names = appendExported(names, "", s.Name)
					names = append(names, aliasMethods(t, s)...)
				}
			}
		}
	}
	return names
}

// methodOf returns the name of a method's type, "" for a function.
func methodOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	return receiver(f)
}

// appendExported appends those of more that are exported.
func appendExported(names []string, prefix string, more ...*ast.Ident) []string {
	for _, id := range more {
		if id.IsExported() {
			names = append(names, prefix+id.Name)
		}
	}
	return names
}

// aliased returns the type of the engine that s is an alias of, "" if it is none.
func aliased(s *ast.TypeSpec) string {
	if of, ok := s.Type.(*ast.SelectorExpr); ok && s.Assign.IsValid() {
		return of.Sel.Name
	}
	return ""
}

// aliasMethods returns the methods that an alias of a type of the engine brings.
func aliasMethods(t *testing.T, s *ast.TypeSpec) (names []string) {
	t.Helper()
	of := aliased(s)
	if of == "" {
		return nil
	}
	for _, decl := range declarations(t, "internal/engine") {
		if f, ok := decl.(*ast.FuncDecl); ok && methodOf(f) == of {
			names = appendExported(names, s.Name.Name+".", f.Name)
		}
	}
	return names
}

// declarations returns those of a package, without its tests.
func declarations(t *testing.T, dir string) (all []ast.Decl) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), path.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has %d files: %v", dir, len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_other.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Decls...)
	}
	return all
}

// go doc does not show the fields of an alias, so its comment does.
func TestFieldsOfAliasesAreInTheirComments(t *testing.T) {
	found := 0
	for _, decl := range declarations(t, "nfnl") {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			continue
		}
		s := d.Specs[0].(*ast.TypeSpec)
		if want := fieldsOf(t, aliased(s)); want != "" {
			found++
			if got := squeeze(d.Doc.Text()); !strings.Contains(got, want) {
				t.Errorf("the comment of %s has other fields than it:\n%s\nwant:\n%s", s.Name.Name, got, want)
			}
		}
	}
	if found == 0 {
		t.Error("nfnl has no alias of a struct")
	}
}

// squeeze makes one space of all that is between two words.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// fieldsOf returns the fields of a struct of the engine with their comments, squeezed;
// "" if there is none of that name.
func fieldsOf(t *testing.T, name string) string {
	t.Helper()
	for _, decl := range declarations(t, "internal/engine") {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			continue
		}
		s := d.Specs[0].(*ast.TypeSpec)
		fields, ok := s.Type.(*ast.StructType)
		if !ok || s.Name.Name != name {
			continue
		}
		var b bytes.Buffer
		for _, f := range fields.Fields.List {
			b.WriteString(f.Names[0].Name + " ")
			if err := printer.Fprint(&b, token.NewFileSet(), f.Type); err != nil {
				t.Fatal(err)
			}
			b.WriteString(" // " + f.Comment.Text())
		}
		return squeeze(b.String())
	}
	return ""
}
