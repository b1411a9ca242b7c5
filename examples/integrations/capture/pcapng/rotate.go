package pcapng

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Files returns a function for NewRotating that makes files called after name, a
// number before its extension: "dump.pcapng" gives dump_00001.pcapng and so on.
// Of keep files the oldest is removed when the next is made; 0 keeps all.
func Files(name string, keep int) func() (io.WriteCloser, error) {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	numbered := func(i int) string { return fmt.Sprintf("%s_%05d%s", stem, i, extension) }
	made := 0
	return func() (io.WriteCloser, error) {
		made++
		if old := made - keep; keep > 0 && old > 0 {
			if err := os.Remove(numbered(old)); err != nil {
				return nil, err
			}
		}
		return os.Create(numbered(made))
	}
}
