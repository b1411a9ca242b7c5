package main

import (
	"strings"
	"testing"
)

func TestConsole(t *testing.T) {
	for _, tt := range []struct {
		name    string
		said    string
		verbose bool
		want    string // printed
		ended   bool
		status  int
	}{
		{
			name:  "a passing test",
			said:  "SeaBIOS\x1bcvm-begin 6.1\r\nvm-out === RUN   TestA\r\nvm-out --- PASS: TestA (0.00s)\r\nvm-out PASS\r\nvm-end 0\r\n",
			want:  "PASS\n",
			ended: true,
		},
		{
			name:    "the same, verbose",
			said:    "vm-begin 6.1\nvm-out === RUN   TestA\nvm-out --- PASS: TestA (0.00s)\nvm-out PASS\nvm-end 0\n",
			verbose: true,
			want:    "vm: 6.1\n=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n",
			ended:   true,
		},
		{
			name:   "a failing test",
			said:   "vm-out --- FAIL: TestA (0.00s)\nvm-note kernel: a warning\nvm-end 1\n",
			want:   "--- FAIL: TestA (0.00s)\nvm: kernel: a warning\n",
			ended:  true,
			status: 1,
		},
		{
			name:  "skipped tests",
			said:  "vm-out --- SKIP: TestA (0.00s)\nvm-out     --- SKIP: TestB/sub (0.00s)\nvm-end 0\n",
			want:  "--- SKIP: TestA (0.00s)\n    --- SKIP: TestB/sub (0.00s)\n",
			ended: true,
		},
		{
			name:    "a skipped test, told to test2json",
			said:    "vm-out \x16--- SKIP: TestA (0.00s)\nvm-end 0\n",
			verbose: true,
			want:    "\x16--- SKIP: TestA (0.00s)\n",
			ended:   true,
		},
		{
			name: "a kernel panic",
			said: "vm-out === RUN   TestA\n[    7.4] Kernel panic - not syncing\n",
		},
		{
			name: "a test that prints what ends the machine",
			said: "vm-out vm-end 0\n",
			want: "vm-end 0\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			c := console{out: &out, verbose: tt.verbose}
			if err := c.read(strings.NewReader(tt.said)); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
			if c.ended != tt.ended || c.status != tt.status {
				t.Errorf("ended %v, status %d", c.ended, c.status)
			}
		})
	}
}

func TestLastWords(t *testing.T) {
	c := console{out: new(strings.Builder)}
	if err := c.read(strings.NewReader("vm-out === RUN   TestA\n[    7.4] Kernel panic\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := c.lastWords(), "in or after TestA; its kernel said:\n[    7.4] Kernel panic"; got != want {
		t.Errorf("last words %q, want %q", got, want)
	}
}
