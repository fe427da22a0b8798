package main

import (
	"os/exec"
	"syscall"
)

// bindToTest has the kernel end a program whose test has ended without cleaning up, as one does that takes too long.
func bindToTest(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
