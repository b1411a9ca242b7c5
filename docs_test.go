package nfpacket

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/nfpacket/nfpacket"

// Other modules, by their import paths.
const (
	modNetlink  = "github.com/mdlayher/netlink"
	modUnix     = "golang.org/x/sys/unix"
	modNftables = "github.com/google/nftables"
)

// arrows says what each folder may import besides the standard library: other
// folders, and packages of other modules with all that is below them. It is
// the figure of the module. A folder that is not here has the arrows of the
// one above it.
var arrows = map[string][]string{
	".":                   {},
	"attr":                {},
	"nfnl":                {"internal/engine", "internal/ipheader"},
	"nfnl/nfnltest":       {"nfnl", "internal/checksum", "internal/engine"},
	"nfqueue":             {"attr", "nfnl", "internal/checksum", "internal/diagnose", "internal/engine", "internal/format", "internal/hooks", "internal/ipheader", "internal/kernellist", "internal/nlattr"},
	"nfqueue/nfqueuetest": {"attr", "nfnl", "nfnl/nfnltest", "nfqueue", "internal/capfile", "internal/engine", "internal/hooks", "internal/nlattr"},
	"nflog":               {"attr", "nfnl", "internal/diagnose", "internal/engine", "internal/format", "internal/hooks", "internal/kernellist", "internal/nlattr"},
	"nflog/nflogtest":     {"attr", "nfnl", "nfnl/nfnltest", "nflog", "internal/capfile", "internal/engine", "internal/hooks", "internal/nlattr"},
	"internal":            {},
	"internal/capfile":    {"nfnl"},
	"internal/captured":   {"nfnl", "internal/capfile"},
	"internal/checksum":   {"internal/ipheader"},
	"internal/diagnose":   {"internal/engine", modUnix},
	"internal/engine":     {"attr", modNetlink, modUnix},
	"internal/format":     {"attr", "nfnl"},
	"internal/hooks":      {"nfnl", "internal/engine"},
	"internal/kernellist": {"internal/engine"},
	"internal/nlattr":     {"attr", "internal/engine"},
	"internal/endtoend":   {"nfnl", "nflog", "nfqueue", "internal/diagnose", "internal/engine", "internal/lab", "internal/testkit", modNetlink, modUnix},
	"internal/lab":        {modNetlink, modUnix, modNftables},
	"examples":            {"attr", "nfnl", "nfqueue", "nflog", "examples/internal/rules", "examples/internal/socket"},
	"examples/internal":   {"internal/lab", "internal/testkit"},
	"examples/watch":      {"nfnl", "nfqueue", "examples/internal/rules", "internal/lab", modUnix},
	"examples/demo":       {"attr", "nfnl", "nfqueue", "nflog", "internal/lab"},
}

// TestImportDirection reads the import lines of everything but tests, on every
// platform. Folders with a go.mod of their own are other modules.
func TestImportDirection(t *testing.T) {
	files := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (isModule(name) || ignored(d.Name())):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		checkImports(t, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no Go files found")
	}
}

// isModule reports whether a folder is a module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(path.Join(dir, "go.mod"))
	return err == nil
}

// ignored reports whether the go command ignores folders of that name.
func ignored(name string) bool {
	return name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// checkImports checks the imports of one file.
func checkImports(t *testing.T, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	allowed := arrowsOf(path.Dir(name))
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if !standard(imported) && !slices.ContainsFunc(allowed, func(a string) bool { return reaches(a, imported) }) {
			t.Errorf("%s imports %s, and may import the standard library and %q only", name, imported, allowed)
		}
	}
}

// arrowsOf returns what a folder may import.
func arrowsOf(dir string) []string {
	for {
		if a, ok := arrows[dir]; ok {
			return a
		}
		dir = path.Dir(dir)
	}
}

// standard reports whether a package is of the standard library.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// reaches reports whether an arrow to a folder of this module, or to a package
// of another, allows an import.
func reaches(arrow, imported string) bool {
	if first, _, _ := strings.Cut(arrow, "/"); !strings.Contains(first, ".") {
		return imported == path.Join(module, arrow)
	}
	return imported == arrow || strings.HasPrefix(imported, arrow+"/")
}

var (
	testName = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w+)\(`)
)

// allTests returns the names of all tests, on every platform.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// What SECURITY.md says is shown by tests: each row of a table with a column for
// that names one at least, and all that it names exist.
func TestSecurityIsShownByTests(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := allTests(t)
	rows, table := 0, false
	for _, line := range strings.Split(string(text), "\n") {
		names := testName.FindAllString(line, -1)
		for _, name := range names {
			if !tests[name] {
				t.Errorf("SECURITY.md names %s, which there is not", name)
			}
		}
		switch {
		case strings.HasPrefix(line, "| ---"):
		case strings.HasSuffix(line, "| shown by |"):
			table = true
		case !strings.HasPrefix(line, "|"):
			table = false
		case table:
			if rows++; len(names) == 0 {
				t.Errorf("no test shows this: %s", line)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}

// needsWholeModule skips the test where only a part of the module is, as in the
// virtual machines.
func needsWholeModule(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(".ci"); err != nil {
		t.Skip("only a part of the module is here: ", err)
	}
}

// The tests that documents name exist, and so do the files that they link to.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	needsWholeModule(t)
	tests, links := allTests(t), regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	names, err := fs.Glob(os.DirFS("."), "docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range append(names, "README.md", "SECURITY.md", "MIGRATING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range testName.FindAllString(string(text), -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(path.Join(path.Dir(name), link[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, link[1], err)
			}
		}
	}
}

// docs/rewriting.md has the table that TestRewritesArriveOrAreRefused tries.
func TestRewritingHasTheTableThatIsTried(t *testing.T) {
	table, err := os.ReadFile("internal/endtoend/rewrite/testdata/rewriting.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/rewriting.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), string(table)) {
		t.Error("docs/rewriting.md has another table than internal/endtoend/rewrite/testdata/rewriting.md")
	}
}
