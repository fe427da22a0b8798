package store

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLineWorksBesideTheHub(t *testing.T) {
	for name, dir := range map[string]string{"short": "d", "long": strings.Repeat("long-directory-name/", 10)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), dir)
			server := startTestServer(t, dir)
			hub := openOn(t, connectTo(t, server), DefaultConfig())

			nc, err := DialData(dir, testLog(t))
			must(t, err)
			defer nc.Close()
			cli := openOn(t, nc, DefaultConfig())
			made, secret, err := cli.Tokens.Create(t.Context(), "a", AgentScope)
			must(t, err)
			eventually(t, "the hub knows the token", func() bool {
				_, err := hub.Tokens.Verify(secret.Reveal(), AgentScope)
				return err == nil
			})
			seen, err := hub.Tokens.Verify(secret.Reveal(), AgentScope)
			must(t, err)
			must(t, cli.Tokens.Revoke(t.Context(), made.ID))
			wantEnd(t, seen.Context(), ErrRevoked)
		})
	}
}

func TestSocketIsOursAlone(t *testing.T) {
	dir := t.TempDir()
	server := startTestServer(t, dir)
	for path, want := range map[string]os.FileMode{socketName: 0o600 | os.ModeSocket, natsDir: 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, path))
		must(t, err)
		if info.Mode() != want {
			t.Errorf("mode of %s is %v, want %v", path, info.Mode(), want)
		}
	}
	server.Close()
	server.Close()
	if _, err := os.Stat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after Close: %v", err)
	}
}

func TestNoHub(t *testing.T) {
	dir := t.TempDir()
	f := func(what string) {
		t.Helper()
		if _, err := DialData(dir, testLog(t)); !errors.Is(err, ErrNoHub) {
			t.Errorf("%s: error is %v, want %v", what, err, ErrNoHub)
		}
	}
	f("no socket")

	// What a hub leaves behind that was killed.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	must(t, stale.Close())
	f("stale socket")

	startTestServer(t, dir)
	nc, err := DialData(dir, testLog(t))
	must(t, err)
	nc.Close()

	dir = filepath.Join(dir, "none", strings.Repeat("long-directory-name", 10))
	f("no directory")
}

func TestGuestsAreBounded(t *testing.T) {
	dir := t.TempDir()
	startTestServer(t, dir)
	read := func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 4)) // the server speaks first
		return err
	}
	for range maxGuests {
		conn, err := dialSocket(dir)
		must(t, err)
		defer conn.Close()
		must(t, read(conn))
	}
	extra, err := dialSocket(dir)
	must(t, err)
	defer extra.Close()
	if err := read(extra); !errors.Is(err, io.EOF) {
		t.Errorf("one guest too many reads %v, want %v", err, io.EOF)
	}
}

func TestGuestThatLeavesMakesRoom(t *testing.T) {
	dir := t.TempDir()
	server := startTestServer(t, dir)
	for range 2 * maxGuests {
		nc, err := DialData(dir, testLog(t))
		must(t, err)
		nc.Close()
		eventually(t, "the guest is gone", func() bool {
			server.gate.mu.Lock()
			defer server.gate.mu.Unlock()
			return len(server.gate.open) == 0
		})
	}
	if n := server.nats.NumClients(); n > 1 {
		t.Errorf("the server still has %d clients", n)
	}
}

func TestServerListensNowhere(t *testing.T) {
	server := startTestServer(t, t.TempDir())
	if addr := server.nats.Addr(); addr != nil {
		t.Errorf("the server listens on %v", addr)
	}
}

func TestStartServerSaysWhatIsWrong(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, file)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("in the way"), 0o600))
		_, err := StartServer(dir, testLog(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
	f("nats", "not a directory")
	f("nats/jetstream", "start nats server: ")
	f("nats.sock/file", "listen on ")
}

func TestDialKeepsThePassword(t *testing.T) {
	for _, address := range []string{"nats://user:s3cret@127.0.0.1:1", "nats://user:s3cret@host:port:1", "nats://user:s3cret@%zz"} {
		_, err := Dial(address, testLog(t))
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error is %v", address, err)
		}
	}
}
