//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for this process until it is closed. held: another process has it.
func lock(file *os.File) (held bool, err error) {
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), err
}
