// Package rewrite has the tests of rewritten packets against the running kernel: see
// internal/endtoend.
package rewrite
