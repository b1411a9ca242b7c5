package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where the modules are in the machine, and the list that says in which order to
// load them.
const (
	moduleDir   = "modules"
	moduleOrder = "modules/order"
)

// packModules writes an archive with the modules that the file list names and
// all they depend on, taken from the unpacked kernel packages in tree. Packages
// come without modules.dep, which is made when they are installed; the modules
// themselves know as much.
func packModules(tree, list, out string) error {
	names, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	s, err := findModules(tree)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(names)) {
		line, _, _ = strings.Cut(line, "#")
		name, optional := strings.CutSuffix(strings.TrimSpace(line), "?")
		if err := s.add(name, optional); err != nil {
			return err
		}
	}
	s.archive.file(moduleOrder, 0o644, []byte(strings.Join(s.order, "\n")+"\n"))
	return os.WriteFile(out, s.archive.bytes(), 0o644)
}

// A moduleSet collects modules behind those they depend on.
type moduleSet struct {
	paths   map[string]string // where each module is; "" when built in
	done    map[string]bool
	order   []string
	archive cpio
}

// findModules looks for all modules in a tree of unpacked packages.
func findModules(tree string) (*moduleSet, error) {
	s := &moduleSet{paths: make(map[string]string), done: make(map[string]bool)}
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.Contains(d.Name(), ".ko") {
			s.paths[moduleName(path)] = path
		}
		if d.Name() != "modules.builtin" {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, builtin := range strings.Fields(string(b)) {
			s.paths[moduleName(builtin)] = ""
		}
		return err
	})
	return s, err
}

// moduleName returns the name of the module in a file. The kernel takes - and _
// for the same.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// add adds a module behind those it depends on. Modules built into the kernel
// are there already.
func (s *moduleSet) add(name string, optional bool) error {
	name = strings.ReplaceAll(name, "-", "_")
	if name == "" || s.done[name] {
		return nil
	}
	s.done[name] = true
	path, ok := s.paths[name]
	if !ok && !optional {
		return fmt.Errorf("this kernel has no module %s: take it off the list of modules, or mark it with a ?", name)
	}
	if path == "" {
		return nil
	}
	b, err := readModule(path)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	hard, soft, err := dependencies(b)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	for _, d := range hard {
		if err := s.add(d, false); err != nil {
			return fmt.Errorf("%s needs %w", name, err)
		}
	}
	for _, d := range soft {
		if err := s.add(d, true); err != nil {
			return err
		}
	}
	s.archive.file(moduleDir+"/"+name, 0o644, b)
	s.order = append(s.order, name)
	return nil
}

func readModule(path string) ([]byte, error) {
	switch filepath.Ext(path) {
	case ".xz":
		return exec.Command("xz", "-dc", path).Output()
	case ".zst":
		return exec.Command("zstd", "-dcq", path).Output()
	}
	return os.ReadFile(path)
}

// dependencies reads what a module says about itself: the modules it needs, and
// those it would like to find loaded.
func dependencies(module []byte) (hard, soft []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil, fmt.Errorf("no .modinfo")
	}
	info, err := section.Data()
	for field := range strings.SplitSeq(string(info), "\x00") {
		if v, ok := strings.CutPrefix(field, "depends="); ok {
			hard = append(hard, strings.Split(v, ",")...)
		}
		if v, ok := strings.CutPrefix(field, "softdep=pre:"); ok {
			soft = append(soft, strings.Fields(v)...)
		}
		// libcrc32c asks the kernel's crypto for crc32c, by no name.
		if field == "name=libcrc32c" {
			soft = append(soft, "crc32c_generic")
		}
	}
	return hard, soft, err
}
