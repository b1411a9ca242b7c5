package documents

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// goBlock finds the Go code in a document.
var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// frames are what a block may be a part of: it has to compile in one of them. The
// first %s is the import lines, the second what is known, the third the block.
var frames = []string{
	"package p\n%s%.0s%s",
	"package p\n%s%s\nfunc _(ctx context.Context) error {\n%s\nreturn nil\n}",
	"package p\n%s%s\nfunc _(p *nfqueue.Packet) nfqueue.Verdict {\n%s\n}",
}

// Code is what the Go code of documents may use besides what it declares itself.
type Code struct {
	Imports []string // packages of which blocks use names: their paths, with a space and another name behind
	Known   string   // declarations of what readers know from the text around a block

	files  *token.FileSet
	source types.Importer // reads each package once
}

// Check fails the test if a block of Go code in the documents does not compile, and
// returns how many blocks there are. The test is skipped where no go command finds
// the source of what is imported.
func (c *Code) Check(t *testing.T, names ...string) (blocks int) {
	t.Helper()
	if out, err := exec.Command("go", "list", "github.com/nfpacket/nfpacket/nfqueue").CombinedOutput(); err != nil {
		t.Skipf("no go command that finds the source of what is imported: %v\n%s", err, out)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			blocks++
			if wrong := c.compile(block[1]); wrong != nil {
				t.Errorf("%s has code that does not compile: %v\n%s", name, wrong, block[1])
			}
		}
	}
	if c.compile("q.NoSuchMethod()\n") == nil {
		t.Error("what is wrong is not seen")
	}
	return blocks
}

// compile returns nil if the block is right in one of the frames, and else what is
// wrong in each.
func (c *Code) compile(block string) (wrong []error) {
	for _, frame := range frames {
		text := block
		if !strings.HasPrefix(block, "package ") {
			text = fmt.Sprintf(frame, c.imports(fmt.Sprintf(frame, "", c.Known, block)), c.Known, block)
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
func (c *Code) imports(code string) string {
	var lines strings.Builder
	for _, spec := range c.Imports {
		imported, name, ok := strings.Cut(spec, " ")
		if !ok {
			name = path.Base(imported)
		}
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&lines, "import %s %q\n", name, imported)
		}
	}
	return lines.String()
}

// check compiles a file. A part of a program may declare what it does not use.
func (c *Code) check(text string) error {
	if c.files == nil {
		c.files = token.NewFileSet()
		c.source = importer.ForCompiler(c.files, "source", nil)
	}
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
