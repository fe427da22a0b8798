package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Lock is a hub's claim on its data directory. The kernel releases it when the hub ends,
// however it ends.
type Lock struct{ file *os.File }

const lockName = "hub.lock"

// LockDataDir makes the directory where it is missing and claims it for this process. The
// error names the directory and the process that holds it.
func LockDataDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := tryLock(file); err != nil {
		holder := lockHolder(file)
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by another hub%s: stop it, or choose another with --data", dir, holder)
		}
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	err = errors.Join(file.Truncate(0), writePID(file))
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	return &Lock{file: file}, nil
}

// Close gives the directory up. The file stays: removing it could take away a lock that
// the next hub has just got.
func (l *Lock) Close() error { return l.file.Close() }

func tryLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func writePID(file *os.File) error {
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// lockHolder is " (process 123)", or nothing when the holder left no readable note.
func lockHolder(file *os.File) string {
	note := make([]byte, 256)
	n, _ := file.ReadAt(note, 0)
	for line := range strings.Lines(string(note[:n])) {
		number := strings.TrimSpace(strings.TrimPrefix(line, "PID:"))
		if pid, err := strconv.Atoi(number); err == nil {
			return fmt.Sprintf(" (process %d)", pid)
		}
	}
	return ""
}

// awaitEngineLock waits until no engine holds the store. A previous one keeps it while it
// finishes an insert, even after its hub is gone.
func awaitEngineLock(ctx context.Context, store string, patience time.Duration) error {
	file, err := os.OpenFile(filepath.Join(store, "status"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the engine's lock: %w", err)
	}
	defer func() { _ = file.Close() }() // which gives the lock back

	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		err := tryLock(file)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("look at the engine's lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("another ClickHouse engine%s still holds %s after %v: end it, or choose another directory with --data",
				lockHolder(file), store, patience)
		case <-retry.C:
		}
	}
}
