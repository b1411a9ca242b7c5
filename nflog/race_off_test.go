//go:build !race

package nflog_test

const raceEnabled = false
