package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"syscall"
	"testing"
)

// browser keeps the cookie of a session.
type browser struct {
	t    *testing.T
	url  string
	http http.Client
}

func (in *installation) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		in.t.Fatal(err)
	}
	return &browser{in.t, "http://" + in.listen, http.Client{Jar: jar}}
}

func (b *browser) post(path, contentType, body string) (status int, answer string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := b.http.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text bytes.Buffer
	if _, err := io.Copy(&text, response.Body); err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, text.String()
}

func (b *browser) signIn(user, password string) int {
	b.t.Helper()
	credentials, err := json.Marshal(map[string]string{"user": user, "password": password})
	if err != nil {
		b.t.Fatal(err)
	}
	status, _ := b.post("/api/v1/login", "application/json", string(credentials))
	return status
}

func (b *browser) sql(text string) (int, string) {
	b.t.Helper()
	return b.post("/api/v1/sql?format=csv", "text/plain", text)
}

// TestUsersAreMadeBesideARunningHub, and an analyst reads the views, and nothing else.
func TestUsersAreMadeBesideARunningHub(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	analystsPassword := in.command("user", "create", "--data", in.data, "--role", "analyst", "ada@example.org")
	viewersPassword := in.command("user", "create", "--data", in.data, "bob")

	ada, bob := in.browser(), in.browser()
	if status := ada.signIn("Ada@example.org", analystsPassword); status != http.StatusNoContent {
		t.Fatalf("sign-in of the analyst: %d", status)
	}
	if status := bob.signIn("bob", viewersPassword); status != http.StatusNoContent {
		t.Fatalf("sign-in of the viewer: %d", status)
	}
	if status, answer := ada.sql("SELECT count() AS n FROM samples WHERE metric = 'nothing'"); status != http.StatusOK || answer != "\"n\"\n0\n" {
		t.Errorf("the analyst's SQL: %d %s", status, answer)
	}
	for _, forbidden := range []string{
		"INSERT INTO raw SELECT * FROM raw", "DROP TABLE raw", "SELECT * FROM progress", "SELECT * FROM system.users", "SELECT * FROM file('/etc/passwd')",
		"SELECT * FROM url('http://127.0.0.1/')", "KILL QUERY WHERE 1", "SYSTEM FLUSH LOGS", "SET max_memory_usage = 0",
	} {
		if status, answer := ada.sql(forbidden); status != http.StatusForbidden {
			t.Errorf("%s: %d %.200s, want it forbidden", forbidden, status, answer)
		}
	}
	if status, _ := bob.sql("SELECT 1"); status != http.StatusForbidden {
		t.Errorf("a viewer's SQL: %d, want it forbidden", status)
	}

	list := in.command("user", "list", "--data", in.data)
	if !strings.Contains(list, "ada@example.org  analyst") || strings.Contains(list, analystsPassword) {
		t.Errorf("the list of users:\n%s", list)
	}
	in.command("user", "delete", "--data", in.data, "bob")
	eventually(t, "the deleted user's session ends", func() bool {
		status, _ := bob.sql("SELECT 1")
		return status == http.StatusUnauthorized
	})
	changed := in.command("user", "password", "--data", in.data, "ada@example.org")
	eventually(t, "a session of the old password ends", func() bool {
		status, _ := ada.sql("SELECT 1")
		return status == http.StatusUnauthorized
	})
	if status := ada.signIn("ada@example.org", analystsPassword); status != http.StatusUnauthorized {
		t.Errorf("sign-in with the old password: %d", status)
	}
	if status := ada.signIn("ada@example.org", changed); status != http.StatusNoContent {
		t.Errorf("sign-in with the new password: %d", status)
	}
	hub.signal(syscall.SIGTERM)
	if strings.Contains(hub.output.String(), analystsPassword) {
		t.Error("the hub's output shows a password")
	}
}
