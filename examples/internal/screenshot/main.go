// Screenshot turns what a program has written to a terminal into an SVG picture:
//
//	go run ./examples/watch -demo -frame 110x14 | go run ./examples/internal/screenshot > docs/watch.svg
//	go run ./examples/demo | go run ./examples/internal/screenshot -lines 24 > docs/demo.svg
//
// Of the terminal's sequences it knows the colours that the examples use (SGR), and
// ignores others of that kind.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"html"
	"io"
	"log"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

func main() {
	most := flag.Int("lines", 1000, "leave out what comes after this many lines")
	flag.Parse()
	lines, err := read(os.Stdin, *most)
	if err == nil {
		_, err = io.WriteString(os.Stdout, picture(lines))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A span is text that looks the same.
type span struct {
	column int
	text   string
	style  string // the number of the SGR sequence before it
}

var sequence = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// read reads the first lines, and lets the program end that writes them.
func read(r io.Reader, most int) (lines [][]span, err error) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		if len(lines) < most {
			lines = append(lines, spans(s.Text()))
		}
	}
	return lines, s.Err()
}

// spans cuts a line at its sequences.
func spans(line string) (cut []span) {
	column, style, at := 0, "", 0
	add := func(text string) {
		if text != "" {
			cut = append(cut, span{column, text, style})
			column += utf8.RuneCountInString(text)
		}
	}
	for _, m := range sequence.FindAllStringSubmatchIndex(line, -1) {
		add(line[at:m[0]])
		style, at = line[m[2]:m[3]], m[1]
	}
	add(line[at:])
	return cut
}

// The size of a character, and the margin around the text, in pixels.
const (
	charWidth, charHeight = 8, 17
	margin                = 12
)

// styles are the attributes of the text of a style.
var styles = map[string]string{
	"1":  ` font-weight="bold"`,
	"2":  ` fill="#8b949e"`,
	"7":  ` fill="#0d1117"`,
	"31": ` fill="#ff7b72"`,
}

// picture returns the lines as SVG.
func picture(lines [][]span) string {
	columns := 0
	for _, line := range lines {
		for _, s := range line {
			columns = max(columns, s.column+utf8.RuneCountInString(s.text))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" fill="#e6edf3">`+"\n",
		columns*charWidth+2*margin, len(lines)*charHeight+2*margin)
	b.WriteString(`<rect width="100%" height="100%" rx="6" fill="#0d1117"/>` + "\n")
	for i, line := range lines {
		for _, s := range line {
			writeSpan(&b, i, s)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// writeSpan writes text, and behind it the ground if that is the inverse.
func writeSpan(b *strings.Builder, line int, s span) {
	x, top := margin+s.column*charWidth, margin+line*charHeight
	width := utf8.RuneCountInString(s.text) * charWidth
	if s.style == "7" {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#e6edf3"/>`+"\n", x, top, width, charHeight)
	}
	text := strings.TrimRight(s.text, " ")
	if text == "" {
		return
	}
	length := utf8.RuneCountInString(text) * charWidth
	fmt.Fprintf(b, `<text x="%d" y="%d" textLength="%d" xml:space="preserve"%s>%s</text>`+"\n",
		x, top+charHeight-4, length, styles[s.style], html.EscapeString(text))
}
