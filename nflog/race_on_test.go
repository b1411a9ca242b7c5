//go:build race

package nflog_test

const raceEnabled = true
