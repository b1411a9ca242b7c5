package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// results are all that a run gave, as the -json file has it.
type results struct {
	Machine  string    `json:"machine"`
	Short    bool      `json:"short"` // too small to tell anything
	Rounds   int       `json:"rounds"`
	Missing  []string  `json:"missing,omitempty"`
	Lines    []line    `json:"lines"`
	Contests []outcome `json:"contests"`
	Growth   []panel   `json:"growth,omitempty"`
}

// machine describes where the run took place.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("Linux %s on %s, %d × %s, %s",
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), runtime.NumCPU(), processor(), runtime.Version())
}

// processor names the processor as far as the kernel does.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // not on every architecture
	for l := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor"
}

// save writes r as JSON.
func (r *results) save(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o666)
}
