package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// liveWatch listens to the dashboard of all hosts as a browser does.
type liveWatch struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	// These are complete once stop has returned.
	windows map[int64]bool // that came, by end in milliseconds; false: without a value
	covered int64          // end of the last window that came with a snapshot, and all before it
	failure error
	longest time.Duration // between two windows
}

// watchLive signs in and listens until stop is called.
func (f *fleet) watchLive() *liveWatch {
	f.t.Helper()
	address := "http://" + f.listen
	signedIn := ask(f.t, address, http.MethodPost, "/api/v1/login", address, nil, `{"user":"admin","password":"a-password-for-tests"}`)
	if len(signedIn.Cookies()) != 1 {
		f.t.Fatalf("signing in: %s", signedIn.Status)
	}
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/v1/stream?dashboard=overview", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.AddCookie(signedIn.Cookies()[0])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	w := &liveWatch{cancel: cancel, windows: make(map[int64]bool)}
	w.ended.Go(func() {
		defer func() { _ = response.Body.Close() }()
		if err := w.listen(bufio.NewReader(response.Body)); ctx.Err() == nil {
			w.failure = err
		}
	})
	f.t.Cleanup(func() { w.stop() })
	return w
}

// stop returns how many windows have come.
func (w *liveWatch) stop() int {
	w.cancel()
	w.ended.Wait()
	return len(w.windows)
}

// listen returns why it ends.
func (w *liveWatch) listen(lines *bufio.Reader) error {
	name, last := "", time.Time{}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the stream ends: %w", err)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case field == "event":
			name = value
		case field == "data" && name == "gap":
			return fmt.Errorf("windows are missing: %s", value)
		case field == "data" && (name == "tick" || name == "snapshot"):
			var e event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return err
			}
			if name == "snapshot" {
				w.covered = e.End
				continue
			}
			traffic := e.Values["network"]
			w.windows[e.End] = len(traffic) == 1 && traffic[0] != nil
			if !last.IsZero() {
				w.longest = max(w.longest, time.Since(last))
			}
			last = time.Now()
		}
	}
}

// check fails the test unless each window of the time has come with a value.
func (w *liveWatch) check(t *testing.T, from, to time.Time) {
	t.Helper()
	if w.failure != nil {
		t.Error(w.failure)
	}
	for end := from.Truncate(time.Second).Add(time.Second); end.Before(to.Add(-3 * time.Second)); end = end.Add(time.Second) {
		if whole, came := w.windows[end.UnixMilli()]; end.UnixMilli() > w.covered && !(came && whole) {
			t.Errorf("the live window that ends at %s: it came %v, with a value %v", clockOf(end.UnixMilli()), came, whole)
		}
	}
}
