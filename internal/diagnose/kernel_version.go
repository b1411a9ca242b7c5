package diagnose

// KernelAtLeast reports whether the running kernel is of a version or newer, for
// what it does wrong without saying so. Off Linux it is false.
func KernelAtLeast(major, minor int) bool {
	ma, mi := running()
	return ma > major || ma == major && mi >= minor
}
