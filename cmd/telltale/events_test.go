package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recorded is what the hub answers to an event.
type recorded struct {
	ID         string
	Start, End int64
}

// record sends an event as a CI job does.
func (in *installation) record(token, body string) (answer recorded, response *http.Response) {
	in.t.Helper()
	request, err := http.NewRequestWithContext(in.t.Context(), http.MethodPost, "http://"+in.listen+"/api/v1/events", strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err = http.DefaultClient.Do(request)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		in.t.Fatalf("%s: %q: %v", response.Status, text, err)
	}
	return answer, response
}

// An event lasts from the answer on: through the end of the hub and its ClickHouse, and while that is away none is promised.
func TestEventsLastOnceAnswered(t *testing.T) {
	in := install(t)
	token := in.command("token", "create", "--data", in.data, "--scope", "events", "ci")
	hub := in.startHub()
	before := time.Now().UnixMilli()
	deploy, response := in.record(token, `{"title":"shop 1.4.2","kind":"deploy","key":"run-1","tags":{"service":"shop"}}`)
	hub.signal(syscall.SIGKILL)
	if response.StatusCode != http.StatusCreated || deploy.Start < before || deploy.Start > time.Now().UnixMilli() {
		t.Fatalf("%s: %+v", response.Status, deploy)
	}
	hub = in.startHub()
	const found = "SELECT title, kind, author, tags['service'], key, toUnixTimestamp64Milli(ts), end FROM events"
	want := "shop 1.4.2\tdeploy\tci\tshop\trun-1\t" + strconv.FormatInt(deploy.Start, 10) + "\t"
	if got := mustSQL(t, hub, found); got != want+`\N` {
		t.Errorf("found %q, want %q", got, want)
	}

	engine := childOf(t, hub)
	if err := syscall.Kill(engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	update := `{"key":"run-1","end":` + strconv.FormatInt(deploy.Start+5000, 10) + `}`
	_, response = in.record(token, update)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("while ClickHouse stands still: %s, %v", response.Status, response.Header)
	}
	if err := syscall.Kill(engine, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the update is stored", func() bool {
		ended, response := in.record(token, update)
		return response.StatusCode == http.StatusOK && ended.ID == deploy.ID && ended.End == deploy.Start+5000
	})
	if got := mustSQL(t, hub, found+" WHERE end = ts + 5"); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 0 {
		t.Errorf("found %q, want one that begins with %q", got, want)
	}
	if n := mustSQL(t, hub, "SELECT count() FROM events"); n != "1" {
		t.Errorf("%s events, want 1", n)
	}
	session := in.signIn()
	var list struct{ Events []recorded }
	in.get(session, http.MethodGet, "/api/v1/events", "", &list)
	if len(list.Events) != 1 || list.Events[0].ID != deploy.ID {
		t.Errorf("listed %+v", list.Events)
	}
}

// TestEventsInDocs runs what the documents show, as it stands there.
func TestEventsInDocs(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	in.startAgent()
	in.awaitMore(hub, 3)
	deploy := strings.ReplaceAll(fenced(t, "protocol.md", "## Events: "), "https://telltale.example.com", "http://"+in.listen)
	job := exec.Command("sh", "-c", deploy)
	job.Env = append(os.Environ(), "VERSION=1.4.2", "RUN_ID=812", "TELLTALE_TOKEN="+in.command("token", "create", "--data", in.data, "--scope", "events", "ci"))
	if out, err := job.Output(); err != nil || !strings.Contains(string(out), `"title":"shop 1.4.2"`) || !strings.Contains(string(out), `"key":"shop-812"`) {
		t.Fatalf("the CI job's step: %v, %s", err, out)
	}
	question := fenced(t, "analysts.md", "### `events`")
	eventually(t, "samples of before and after the deploy are there", func() bool {
		columns := strings.Split(mustSQL(t, hub, question), "\t")
		return len(columns) == 4 && columns[1] == "shop 1.4.2" && !strings.Contains(columns[2]+columns[3], "nan")
	})
}

// fenced returns the first block of code after a heading.
func fenced(t *testing.T, document, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", document))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+heading)
	_, block, begins := strings.Cut(after, "\n```")
	_, block, named := strings.Cut(block, "\n")
	block, _, ends := strings.Cut(block, "\n```")
	if !found || !begins || !named || !ends {
		t.Fatalf("%s has no block of code after %q", document, heading)
	}
	return block
}
