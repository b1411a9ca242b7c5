// Package deploy has what it takes to run a program of this library elsewhere: a
// Dockerfile, a DaemonSet, a unit of systemd. It has no code; its tests check that
// they work. See README.md.
package deploy
