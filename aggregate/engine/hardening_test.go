package engine

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Nothing that a client does may end the engine, which serves all others too.
func TestNoClientEndsTheEngine(t *testing.T) {
	e := start(t, testConfig(t, t.TempDir()))
	pid := e.PID()
	writer := connect(t, e.Addresses().DSN)
	unharmed := func(what string) {
		t.Helper()
		// Ten further answers: an engine that is going down takes a moment.
		for range 10 {
			if err := writer.Ping(t.Context()); err != nil || e.PID() != pid {
				t.Fatalf("after %s: ping %v, process %d, want nil and %d", what, err, e.PID(), pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}

	refuseStrangers(t, e)
	unharmed("wrong passwords")

	for name, greeting := range map[string][]byte{
		"nothing": nil, "HTTP": []byte("GET / HTTP/1.0\r\n\r\n"), "TLS": []byte("\x16\x03\x01\x02\x00"),
		"noise": bytes.Repeat([]byte{0xff}, 4096), "zeros": make([]byte, 4096), "half a hello": {0, 5, 'h', 'e'},
	} {
		for _, reset := range []bool{false, true} {
			speak(t, e.Addresses().TCP, greeting, reset)
		}
		unharmed("a client that sends " + name)
	}

	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_ = connect(t, e.Addresses().DSN).Exec(ctx, "SELECT sleepEachRow(0.001) FROM numbers(1000000) SETTINGS max_block_size = 10")
		cancel()
	}
	unharmed("clients that left in the middle of an answer")
}

// refuseStrangers tries every way in without the right password.
func refuseStrangers(t *testing.T, e *Engine) {
	t.Helper()
	for _, c := range []struct {
		user, password string
		code           int32
	}{
		{WriterUser, "wrong", wrongPassword},
		{WriterUser, "", wrongPassword},
		{AnalystUser, e.id.Password, wrongPassword},
		{"default", "", tooManySessions},
		{"default", "guess", wrongPassword},
		{"nobody", "", wrongPassword},
	} {
		dsn := url.URL{Scheme: "clickhouse", User: url.UserPassword(c.user, c.password), Host: e.Addresses().TCP}
		err := connect(t, dsn.String()).Ping(t.Context())
		if code := exceptionCode(err); code != c.code {
			t.Errorf("native sign-in as %s with password %q: %v, want code %d", c.user, c.password, err, c.code)
		}
		if status, body := get(t, e, c.user, c.password, "SELECT 1"); status == http.StatusOK {
			t.Errorf("HTTP as %s with password %q: answered %q, want a refusal", c.user, c.password, body)
		}
	}
}

func speak(t *testing.T, address string, text []byte, reset bool) {
	t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = connection.Write(text)
	if reset {
		_ = connection.(*net.TCPConn).SetLinger(0)
	}
	_ = connection.Close()
}
