package engine

import "syscall"

// bindToParent has the kernel end the engine when the thread that started it ends, which
// catches an engine too stuck to see the end of its input.
func bindToParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
