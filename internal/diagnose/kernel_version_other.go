//go:build !linux

package diagnose

func running() (major, minor int) { return 0, 0 }
