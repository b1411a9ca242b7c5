// Package kubernetes has the DaemonSet, and the test that checks it, which is why it
// is a module of its own.
package kubernetes
