package engine

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock's rights over files: those of its second version, the first under which a file may be moved to another directory.
const (
	landlockABI  = 2
	rightsRead   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	rightsRun    = rightsRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	rightsDevice = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	rightsAll    = unix.LANDLOCK_ACCESS_FS_REFER<<1 - 1
	rightsOfFile = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
)

// foreignFiles are what an engine needs beside its own folder; one that is missing is left out. There is nothing secret in
// them. Of /proc they are its own process and the machine, for the command lines of others are in it, too.
var foreignFiles = map[uint64][]string{
	rightsRun:    {"/usr/lib", "/usr/lib64", "/usr/bin", "/lib", "/lib64", "/bin", "/proc/self/exe"},
	rightsDevice: {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/proc/self"},
	rightsRead: {"/usr/share/zoneinfo", "/sys", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys", "/proc/uptime", "/proc/loadavg", "/proc/vmstat",
		"/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/ld.so.cache"},
}

// confine bars this thread, and all that it starts from now on, from all files but those of the folder, the program and its
// libraries, and some facts about the machine.
//
// For `clickhouse local` lets everybody who may run a query read any file, by SELECT file('/etc/passwd'): there is no
// right to refuse and no setting to set. Among the files are the hub's own, with the passwords of other users.
func confine(folder, program string) error {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("ask the kernel for Landlock: %w: Linux 5.19 is needed, with landlock among its security modules", errno)
	}
	if abi < landlockABI {
		return fmt.Errorf("the kernel's Landlock has version %d, and %d is needed: Linux 5.19", abi, landlockABI)
	}
	handled := uint64(rightsAll)
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	if errno != 0 {
		return fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	defer func() { _ = unix.Close(int(ruleset)) }()
	if err := allow(int(ruleset), folder, rightsAll); err != nil {
		return err
	}
	if err := allow(int(ruleset), program, rightsRun); err != nil {
		return err
	}
	for rights, paths := range foreignFiles {
		for _, path := range paths {
			if err := allow(int(ruleset), path, rights); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("enforce the Landlock ruleset: %w", errno)
	}
	return nil
}

// allow adds rights over a file, or over a directory and all below it.
func allow(ruleset int, path string, rights uint64) error {
	file, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(file) }()
	var about unix.Stat_t
	if err := unix.Fstat(file, &about); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if about.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= rightsOfFile
	}
	// struct landlock_path_beneath_attr is packed: a 64-bit set of rights, and a 32-bit file descriptor.
	rule := [3]uint32{uint32(rights), uint32(rights >> 32), uint32(file)} // the first two are in the order of a little-endian machine
	const pathBeneath = 1
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), pathBeneath, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("allow %s in the Landlock ruleset: %w", path, errno)
	}
	return nil
}
