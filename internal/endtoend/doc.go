// Package endtoend has the tests of the whole library against the running
// kernel, each in a network namespace of its own. They need no root: see
// internal/lab.
package endtoend
