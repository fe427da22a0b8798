package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// question is a way to ask SQL: through the hub with a token, or ClickHouse itself as a user.
type question struct {
	url            string
	token          string
	user, password string
}

// send asks a statement; the answer's body must be closed.
func (q question) send(ctx context.Context, statement string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, strings.NewReader(statement))
	if err != nil {
		return nil, err
	}
	if q.token != "" {
		request.Header.Set("Authorization", "Bearer "+q.token)
	} else {
		request.SetBasicAuth(q.user, q.password)
	}
	return http.DefaultClient.Do(request)
}

// limitWords are by what ClickHouse and the hub say when a limit ends a statement.
var limitWords = []struct{ said, limit string }{
	{"Timeout exceeded", "time"},
	{"TIMEOUT_EXCEEDED", "time"},
	{"Estimated query execution time", "time"},
	{"memory limit exceeded", "memory"},
	{"MEMORY_LIMIT_EXCEEDED", "memory"},
	{"Limit for result exceeded, max rows", "rows"},
	{"Limit for result exceeded, max bytes", "bytes"},
	{"Limit for temporary files size exceeded", "disk"},
	{"TOO_MANY_SIMULTANEOUS_QUERIES", "busy"},
	{"Too many simultaneous queries", "busy"},
	{`"code":"busy"`, "busy"},
}

// outcome asks a statement and says what became of it: by which way, and which limit ended it.
func (q question) outcome(ctx context.Context, statement string) string {
	way := "ClickHouse: "
	if q.token != "" {
		way = "hub: "
	}
	answer, err := q.send(ctx, statement)
	if err != nil {
		return way + err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	last := &tail{}
	_, err = io.Copy(last, answer.Body)
	for _, w := range limitWords {
		if strings.Contains(string(last.kept), w.said) {
			switch {
			case answer.StatusCode == http.StatusOK && err == nil:
				return way + "a part passes for the whole result; the end is of " + w.limit
			case answer.StatusCode == http.StatusOK:
				way += "broken off, "
			case q.token != "" && !hasRemedy(last.kept):
				return way + "no remedy in " + string(last.kept)
			}
			return way + w.limit
		}
	}
	if answer.StatusCode != http.StatusOK || err != nil {
		return fmt.Sprintf("%s%s %s (%v)", way, answer.Status, last.kept, err)
	}
	return way + "answered"
}

// hasRemedy says whether a refusal of the hub's tells what to do, after what was wrong.
func hasRemedy(body []byte) bool {
	var refusal struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &refusal) != nil {
		return false
	}
	_, remedy, found := strings.Cut(refusal.Error.Message, ": ")
	return found && remedy != "" && (refusal.Error.Code == "sql_limit" || refusal.Error.Code == "busy")
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-4096):]
	return len(p), nil
}
