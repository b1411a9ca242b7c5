// Package documents has tests that hold what the documents say to the programs
// they speak of. See also docs_test.go in the module's root.
package documents
