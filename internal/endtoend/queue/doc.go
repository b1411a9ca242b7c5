// Package queue has the tests of what a queue does against the running kernel: see
// internal/endtoend.
package queue
