// Package documents holds what documents say to the programs they speak of, and to
// the compiler. See also docs_test.go in the module's root.
package documents
