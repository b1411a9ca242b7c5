//go:build race

package nfnl

const raceEnabled = true
