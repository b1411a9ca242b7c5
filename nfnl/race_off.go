//go:build !race

package nfnl

const raceEnabled = false
