// Package faults has the tests of what goes wrong against the running kernel: see
// internal/endtoend.
package faults
