//go:build linux

package nfpacket

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goBlock finds the Go code in a document.
var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// frames are what a block may be a part of: it has to compile in one of them. %s
// are the import lines and the block.
var frames = []string{
	"package p\n%s%s",
	"package p\n%s" + known + "func _(ctx context.Context) error {\n%s\nreturn nil\n}",
	"package p\n%s" + known + "func _(p *nfqueue.Packet) nfqueue.Verdict {\n%s\n}",
}

// known are names that readers of a block know from the text around it.
const known = `
var (
	q          *nfqueue.Queue
	r          *nflog.Reader
	mask, bits uint32
	handler    nfqueue.Handler
	_          context.Context
)
`

// importable are the packages of which blocks use names, by the last part.
var importable = []string{
	"bytes", "context", "errors", "log", "log/slog", "net", "net/netip", "os", "os/signal", "syscall", "time", "golang.org/x/sys/unix",
	module + "/attr", module + "/nfnl", module + "/nfqueue", module + "/nflog",
}

// A compiler checks the types of blocks, and reads each package that they import
// once.
type compiler struct {
	files  *token.FileSet
	source types.Importer
}

// compiles returns nil if the block is right in one of the frames, and else what
// is wrong in each.
func (c compiler) compiles(block string) (wrong []error) {
	for _, frame := range frames {
		text := block
		if !strings.HasPrefix(block, "package ") {
			body := fmt.Sprintf(frame, "", block)
			text = fmt.Sprintf(frame, imports(body), block)
		}
		err := c.check(text)
		if err == nil {
			return nil
		}
		wrong = append(wrong, err)
	}
	return wrong
}

// imports returns the lines that import what the code names.
func imports(code string) string {
	var lines strings.Builder
	for _, path := range importable {
		if name := path[strings.LastIndex(path, "/")+1:]; regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&lines, "import %q\n", path)
		}
	}
	return lines.String()
}

// check compiles a file. A part of a program may declare what it does not use.
func (c compiler) check(text string) error {
	f, err := parser.ParseFile(c.files, "block.go", text, 0)
	if err != nil {
		return err
	}
	var first error
	config := types.Config{Importer: c.source, Error: func(err error) {
		if first == nil && !strings.Contains(err.Error(), "declared and not used") {
			first = err
		}
	}}
	config.Check("p", c.files, []*ast.File{f}, nil) // its error is the first of those that Error has seen
	return first
}

// docs/testing.md has a test of its own, which also runs its code.
func TestCodeInDocumentsCompiles(t *testing.T) {
	if out, err := exec.Command("go", "list", "./nfqueue").CombinedOutput(); err != nil {
		t.Skipf("no go command that finds the source of what is imported: %v\n%s", err, out)
	}
	names, err := fs.Glob(os.DirFS("."), "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "docs/testing.md" })
	c := compiler{files: token.NewFileSet()}
	c.source = importer.ForCompiler(c.files, "source", nil)
	blocks := 0
	for _, name := range append(names, "README.md", "SECURITY.md", "MIGRATING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			blocks++
			if wrong := c.compiles(block[1]); wrong != nil {
				t.Errorf("%s has code that does not compile: %v\n%s", name, wrong, block[1])
			}
		}
	}
	if blocks < 5 {
		t.Errorf("only %d blocks of code were found", blocks)
	}
	if c.compiles("q.NoSuchMethod()\n") == nil {
		t.Error("what is wrong is not seen")
	}
}
