package main

import (
	"bytes"
	"fmt"
	"path"
)

// A cpio is an archive in the format that Linux unpacks at boot, newc. Several,
// one behind the other, are unpacked one after another.
type cpio struct {
	buf  bytes.Buffer
	made map[string]bool // entries by name
}

// file adds a file, and the folders above it.
func (c *cpio) file(name string, perm int, data []byte) {
	const regular = 0o100000
	if dir := path.Dir(name); dir != "." {
		c.dir(dir)
	}
	c.entry(name, regular|perm, data)
}

// dir adds a folder and those above it, unless they are there.
func (c *cpio) dir(name string) {
	const directory = 0o040000
	if c.made[name] {
		return
	}
	if up := path.Dir(name); up != "." {
		c.dir(up)
	}
	c.entry(name, directory|0o755, nil)
}

func (c *cpio) entry(name string, mode int, data []byte) {
	if c.made == nil {
		c.made = make(map[string]bool)
	}
	c.made[name] = true
	// inode, mode, uid, gid, links, mtime, size, device (2), special device (2),
	// length of the name with its NUL, checksum
	c.buf.WriteString("070701")
	for _, v := range []int{len(c.made), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(&c.buf, "%08x", v)
	}
	c.buf.WriteString(name + "\x00")
	c.pad()
	c.buf.Write(data)
	c.pad()
}

func (c *cpio) pad() {
	for c.buf.Len()%4 != 0 {
		c.buf.WriteByte(0)
	}
}

// bytes ends the archive and returns it.
func (c *cpio) bytes() []byte {
	c.entry("TRAILER!!!", 0, nil)
	return c.buf.Bytes()
}
