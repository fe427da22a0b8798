package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// identityName is the identity's file in the data directory.
const identityName = "engine.json"

// RunningOn returns how to reach the engine of the hub that runs on the data directory, or nil
// where none runs.
func RunningOn(dataDir string) (*Addresses, error) {
	lock, err := os.Open(filepath.Join(dataDir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a running hub: %w", err)
	}
	defer func() { _ = lock.Close() }()
	err = tryLock(lock)
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("look for a running hub: %w", err)
	}
	id, err := loadIdentity(filepath.Join(dataDir, identityName))
	if err != nil {
		return nil, err
	}
	if id.TCPPort == 0 {
		return nil, fmt.Errorf("the hub on %s has no ClickHouse of its own: name its server with --clickhouse", dataDir)
	}
	addresses := id.addresses()
	return &addresses, nil
}
