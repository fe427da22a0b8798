package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestFindExplicit(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "nothing")
	if _, err := Find(missing); err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "--engine") {
		t.Errorf("Find(%s) = %v, want an error that names the path and the flag", missing, err)
	}
	if _, err := Find(dir); err == nil {
		t.Error("Find of an empty folder succeeded")
	}
	library := filepath.Join(dir, libraryName)
	if err := os.WriteFile(library, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, explicit := range []string{dir, library} {
		if found, err := Find(explicit); err != nil || found != library {
			t.Errorf("Find(%s) = %s, %v, want %s", explicit, found, err, library)
		}
	}
}

func TestFindNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "")
	_, err := Find("")
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("Find with nothing to find = %v, want ErrNotFound", err)
	}
	for _, remedy := range []string{"make build", "npm ci --prefix aggregate/engine", "--engine", "--clickhouse"} {
		if !strings.Contains(err.Error(), remedy) {
			t.Errorf("the error %q does not name the remedy %q", err, remedy)
		}
	}
}

func TestFindProgramOnPath(t *testing.T) {
	t.Chdir(t.TempDir())
	program := filepath.Join(t.TempDir(), "clickhouse")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(program))
	if found, err := Find(""); err != nil || found != program {
		t.Errorf("Find = %s, %v, want %s", found, err, program)
	}
}

func TestStartSaysWhyAnEngineEnded(t *testing.T) {
	program := filepath.Join(t.TempDir(), "clickhouse")
	script := "#!/bin/sh\necho \"no luck with $1\" >&2\nexit 3\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{DataDir: t.TempDir(), Path: program}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "no luck with local") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Start = %v, want the engine's words and its exit status", err)
	}
}

func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, testConfig(t, t.TempDir()), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start under an ended context = %v, want context.Canceled", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{DataDir: "d", Path: "p"}
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	for _, bad := range []Config{
		{Path: "p"}, {DataDir: "d"},
		{DataDir: "d", Path: "p", TCPPort: -1}, {DataDir: "d", Path: "p", HTTPPort: 65536},
		{DataDir: "d", Path: "p", MemoryBytes: 1 << 20},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v passes, want an error", bad)
		}
	}
}
