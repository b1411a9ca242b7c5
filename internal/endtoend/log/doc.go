// Package log has the tests of what a log does against the running kernel: see
// internal/endtoend.
package log
