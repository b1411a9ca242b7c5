package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// parts returns what a picture has, and fails the test if it is not well formed.
func parts(t *testing.T, svg string) (texts []string, boxes int) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return texts, boxes
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "rect" {
				boxes++
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(e)); s != "" {
				texts = append(texts, s)
			}
		}
	}
}

func TestColoursAndTextAreKept(t *testing.T) {
	lines, err := read(strings.NewReader("\x1b[1mbold\x1b[0m a <b> & \"c\"\n\x1b[7m inverse \x1b[0m\n\x1b[31mred\x1b[0m\x1b[2mfaint\n\n"), 100)
	if err != nil || len(lines) != 4 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	svg := picture(lines)
	texts, boxes := parts(t, svg)
	if got := strings.Join(texts, "|"); got != `bold|a <b> & "c"|inverse|red|faint` {
		t.Errorf("texts %s", got)
	}
	if boxes != 2 {
		t.Errorf("%d boxes, want the ground and that of the inverse", boxes)
	}
	for _, want := range []string{`font-weight="bold">bold<`, `fill="#ff7b72">red<`, `fill="#8b949e">faint<`} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in %s", want, svg)
		}
	}
}

func TestLaterLinesAreLeftOut(t *testing.T) {
	r := strings.NewReader("1\n2\n3\n")
	lines, err := read(r, 2)
	if err != nil || len(lines) != 2 || r.Len() != 0 {
		t.Errorf("%d lines, %v, %d bytes not read", len(lines), err, r.Len())
	}
}
