package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// identityFile holds the agent's id in the state directory.
const identityFile = "agent-id"

// Identity returns the agent's id, which must not change across restarts: the one kept in
// dir, or, the first time, the host's name, which is then kept. A directory that cannot be
// written is an error beside the id; the id is good until the host is renamed.
func Identity(dir string) (string, error) {
	path := filepath.Join(dir, identityFile)
	kept, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(kept)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the agent's id (--id names one): %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "", fmt.Errorf("this host has no name (--id names the agent): %w", err)
	}
	if err := keepIdentity(dir, path, host); err != nil {
		return host, fmt.Errorf("keeping the agent's id: %w", err)
	}
	return host, nil
}

// keepIdentity writes the file whole or not at all.
func keepIdentity(dir, path, id string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(id+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
