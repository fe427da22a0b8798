package engine

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// hubDirVariable makes the test binary a hub that only runs an engine: see runHub.
const hubDirVariable = "TELLTALE_TEST_HUB_DIR"

// runHub locks the directory, starts an engine in it, says so, and waits to be killed.
func runHub(dir string) {
	_, err := LockDataDir(dir)
	if err == nil {
		var path string
		if path, err = Find(""); err == nil {
			_, err = Start(context.Background(), Config{DataDir: dir, Path: path}, slog.Default(), prometheus.NewRegistry())
		}
	}
	fmt.Println("started:", err)
	select {}
}

func startHub(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	hub := exec.Command(os.Args[0])
	hub.Env = append(os.Environ(), hubDirVariable+"="+dir)
	output, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Process.Kill(); _ = hub.Wait() })
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "started: "); found {
			if text != "<nil>" {
				t.Fatalf("the hub did not start: %s", text)
			}
			return hub
		}
	}
	t.Fatal("the hub ended without a word")
	return nil
}

func TestEngineLeavesWhenItsHubIsKilled(t *testing.T) {
	dir := t.TempDir()
	hub := startHub(t, dir)
	if _, err := LockDataDir(dir); err == nil ||
		!strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), strconv.Itoa(hub.Process.Pid)) {
		t.Errorf("a second hub on the directory: %v, want an error that names %s and process %d", err, dir, hub.Process.Pid)
	}
	store := filepath.Join(dir, "clickhouse", "store")
	if err := awaitEngineLock(t.Context(), store, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "(process ") {
		t.Fatalf("a running engine's lock: %v, want an error that names its process", err)
	}

	if err := hub.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := awaitEngineLock(t.Context(), store, time.Minute); err != nil {
		t.Fatalf("after its hub was killed: %v", err)
	}
	_ = hub.Wait()
	lock, err := LockDataDir(dir)
	if err != nil {
		t.Fatalf("after the hub was killed: %v", err)
	}
	defer func() { _ = lock.Close() }()
	start(t, testConfig(t, dir))
}

// Where the kernel does not end it, the end of its input does.
func TestEngineLeavesAtTheEndOfItsInput(t *testing.T) {
	e := start(t, testConfig(t, t.TempDir()))
	e.mu.Lock()
	child := e.current
	e.mu.Unlock()
	if err := child.lifeline.Close(); err != nil {
		t.Fatal(err)
	}
	<-child.exited
	if code := child.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d (%v), want 0", code, child.err)
	}
}
