package engine

import (
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// identity is what outlives a start of the engine: an analyst's saved connection goes on
// working. It is kept in the data directory, readable by its owner only.
type identity struct {
	Password        string `json:"password"`
	AnalystPassword string `json:"analyst_password"`
	TCPPort         int    `json:"tcp_port"`
	HTTPPort        int    `json:"http_port"`
}

func loadIdentity(path string) (identity, error) {
	var id identity
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return id, fmt.Errorf("read the engine's passwords: %w", err)
	default:
		if err := json.Unmarshal(text, &id); err != nil {
			return id, fmt.Errorf("read the engine's passwords in %s (removing it makes new ones): %w", path, err)
		}
	}
	if id.Password == "" {
		id.Password = crand.Text()
	}
	if id.AnalystPassword == "" {
		id.AnalystPassword = crand.Text()
	}
	return id, nil
}

func (id identity) save(path string) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("write the engine's passwords: %w", err)
	}
	return writeFile(path, append(text, '\n'))
}

// choosePorts settles both ports: the configured one, or else the last one where it is
// still free, or else any that is.
func (id *identity) choosePorts(tcp, http int) error {
	var err error
	if id.TCPPort, err = choosePort(tcp, id.TCPPort); err != nil {
		return fmt.Errorf("native port of the engine: %w", err)
	}
	last := id.HTTPPort
	if last == id.TCPPort {
		last = 0
	}
	if id.HTTPPort, err = choosePort(http, last); err != nil {
		return fmt.Errorf("HTTP port of the engine: %w", err)
	}
	if id.HTTPPort == id.TCPPort {
		return fmt.Errorf("the engine's native and HTTP port are both %d: choose two", id.TCPPort)
	}
	return nil
}

// Ports that the hub chooses lie below those the system gives to outgoing connections, so
// that none of them takes the engine's port while the hub is down.
const (
	firstPort = 20000
	lastPort  = 32767
)

func choosePort(configured, last int) (int, error) {
	if configured != 0 {
		return configured, tryPort(configured)
	}
	if last != 0 && tryPort(last) == nil {
		return last, nil
	}
	var err error
	for range 100 {
		port := firstPort + rand.N(lastPort-firstPort+1)
		if err = tryPort(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("100 ports from %d to %d are taken; the last one: %w", firstPort, lastPort, err)
}

// tryPort listens on the port for a moment.
func tryPort(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// writeFile replaces a file in one step, so that no reader and no crash sees half of it.
func writeFile(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
