//go:build linux

package testkit_test

import (
	"os"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
)

func TestNoLeaks(t *testing.T) {
	check := testkit.NoLeaks()
	done := make(chan struct{})
	f, err := os.Open(os.DevNull)
	testkit.Must(t, err)
	go func() {
		f.Close()
		close(done)
	}()
	if err := check(); err != nil {
		t.Error(err)
	}
	<-done
}

func TestNoLeaksFindsLeaks(t *testing.T) {
	check := testkit.NoLeaks()
	f, err := os.Open(os.DevNull)
	testkit.Must(t, err)
	defer f.Close()
	done := make(chan struct{})
	defer close(done)
	go func() { <-done }()

	err = check()
	if err == nil {
		t.Fatal("no leak found")
	}
	for _, want := range []string{"leaked goroutine ", "TestNoLeaksFindsLeaks", "leaked descriptor ", os.DevNull} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
}
