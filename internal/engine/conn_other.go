//go:build !linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// system is what a Batch needs for system calls: off Linux nothing.
type system struct{}

func (*system) prepare([]slot) {}

func dial(Config) (transport, uint32, error) {
	return nil, 0, fmt.Errorf("netfilter is not supported on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func rawConn(transport) (syscall.RawConn, error) { return nil, errors.ErrUnsupported }
func readBuffer(transport) (int, error)          { return 0, errors.ErrUnsupported }
func setReadBuffer(transport, int) error         { return errors.ErrUnsupported }
func drops(transport) (uint32, error)            { return 0, errors.ErrUnsupported }

func inUserNamespace(transport) bool { return false }
func foreignNetNS(transport) bool    { return false }

func openProc(transport, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func watchLinks(transport) (watch, linkNews, error) { return nil, linkNews{}, errors.ErrUnsupported }

func fileSocket(*os.File) (transport, uint32, error) { return nil, 0, errors.ErrUnsupported }
