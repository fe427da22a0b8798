package store

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startOutside starts a server as an operator would beside several hubs, on a port of loopback.
func startOutside(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, JetStream: true, StoreDir: dir, SyncAlways: true,
		Username: "hub", Password: "s3cret",
	})
	must(t, err)
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	return ns
}

func TestOutsideServerThatRestarts(t *testing.T) {
	dir := t.TempDir()
	outside := startOutside(t, dir, server.RANDOM_PORT)
	where := outside.Addr().(*net.TCPAddr)
	address := fmt.Sprintf("nats://hub:s3cret@%v", where)
	nc, err := Dial(address, testLog(t))
	must(t, err)
	defer nc.Close()
	hub := openOn(t, nc, DefaultConfig())
	token, secret, err := hub.Tokens.Create(t.Context(), "a", AgentScope)
	must(t, err)

	outside.Shutdown()
	outside.WaitForShutdown()
	if _, err := hub.Tokens.Verify(secret.Reveal(), AgentScope); err != nil {
		t.Errorf("while the server is away: %v", err)
	}
	startOutside(t, dir, where.Port)

	other, err := Dial(address, testLog(t))
	must(t, err)
	defer other.Close()
	cli := openOn(t, other, DefaultConfig())
	start := time.Now()
	must(t, cli.Tokens.Revoke(t.Context(), token.ID))
	wantEnd(t, token.Context(), ErrRevoked)
	t.Log("seen after", time.Since(start))
	if _, err := hub.Tokens.Verify(secret.Reveal(), AgentScope); !errors.Is(err, ErrWrongToken) {
		t.Errorf("error is %v, want %v", err, ErrWrongToken)
	}
}
