// Package kernelversion says how new the running kernel is.
package kernelversion

// AtLeast reports whether the running kernel is of a version or newer, for
// what it does wrong without saying so. Off Linux it is false.
func AtLeast(major, minor int) bool {
	ma, mi := running()
	return ma > major || ma == major && mi >= minor
}
