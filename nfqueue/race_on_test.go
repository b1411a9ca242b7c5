//go:build race

package nfqueue_test

const raceEnabled = true
