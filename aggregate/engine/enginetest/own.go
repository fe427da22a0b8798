package enginetest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate/engine"
)

// Own is an engine of a test's own, which what is tested takes for somebody else's server.
type Own struct {
	TCPPort  int
	Password string            // of engine.WriterUser
	Config   map[string]string // files beside the engine's configuration, such as config.d/cluster.xml or users.d/hub.xml
}

// FreePort returns a port that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// Start starts the engine on a data directory, which may be that of a former one. It ends with the test.
func (o Own) Start(t testing.TB, dataDir string) *engine.Engine {
	t.Helper()
	path, err := engine.Find("")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range o.Config {
		write(t, filepath.Join(dataDir, "clickhouse", name), []byte(text))
	}
	identity, err := json.Marshal(map[string]string{"password": o.Password})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dataDir, "engine.json"), identity)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	e, err := engine.Start(ctx, engine.Config{DataDir: dataDir, Path: path, TCPPort: o.TCPPort, MemoryBytes: 1 << 30}, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("start an engine of the test's own: %v", err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
