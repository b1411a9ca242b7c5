// Package conntrack has the tests of connections against the running kernel: see
// internal/endtoend.
package conntrack
