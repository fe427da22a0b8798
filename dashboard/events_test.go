package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale/dashboard/store"
)

// logbook keeps events in memory, and counts the questions.
type logbook struct {
	mu      sync.Mutex // guards the fields below
	events  map[string]Event
	asked   int
	failure error
}

func (l *logbook) Between(_ context.Context, from, to time.Time, limit int) ([]Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	var found []Event
	for _, e := range l.events {
		if !e.Start.After(to) && !e.last().Before(from) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(x, y Event) int { return y.Start.Compare(x.Start) })
	return found[:min(limit, len(found))], l.failure
}

func (l *logbook) Find(_ context.Context, id string) (Event, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, is := l.events[id]
	return e, is, l.failure
}

func (l *logbook) Store(_ context.Context, e Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil {
		l.events[e.ID] = e
	}
	return l.failure
}

func (l *logbook) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
}

func openWithEvents(t *testing.T) (*site, *logbook) {
	t.Helper()
	book := &logbook{events: map[string]Event{}}
	return open(t, func(_ *Config, p *Parts) { p.Events = book }), book
}

// as is a client with the session of a user who has the role.
func (s *site) as(role store.Role) *client {
	s.t.Helper()
	name := string(role) + "1"
	must(s.t, s.Store.Users.Create(s.t.Context(), name, password, role))
	i := slices.IndexFunc(s.Store.Users.List(), func(u store.User) bool { return u.Name == name })
	_, cookie, err := s.Store.Sessions.Create(s.t.Context(), s.Store.Users.List()[i], "test")
	must(s.t, err)
	c := s.client()
	c.cookies = []*http.Cookie{{Name: "telltale", Value: cookie.Reveal()}}
	return c
}

// program is a client with a token.
func (s *site) program(name string, scope store.Scope) *client {
	s.t.Helper()
	_, secret, err := s.Store.Tokens.Create(s.t.Context(), name, scope)
	must(s.t, err)
	c := s.client()
	c.header.Set("Authorization", "Bearer "+secret.Reveal())
	return c
}

func (c *client) record(body string, status int) annotation {
	c.t.Helper()
	r := c.post("/api/v1/events", body)
	r.want(status, "")
	var a annotation
	r.decode(&a)
	return a
}

func TestEventIsRecordedAndListed(t *testing.T) {
	s, _ := openWithEvents(t)
	ci := s.program("ci", store.EventsScope)
	now := s.now().UnixMilli()
	got := ci.record(`{"title":" shop 1.4.2 ","kind":"deploy","text":"a\nb","tags":{"service":"shop"},"key":"run-7"}`, http.StatusCreated)
	want := annotation{
		ID: got.ID, Start: now, Kind: "deploy", Title: "shop 1.4.2", Text: "a\nb", Tags: map[string]string{"service": "shop"},
		Author: "ci", Key: "run-7", Recorded: now, Updated: now,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(got.ID) != 32 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	note := s.as(store.Analyst).record(`{"title":"x","start":"2025-01-31T12:00:00.1239+01:00","end":1738321200124}`, http.StatusCreated)
	if note.Start != 1738321200123 || note.End == nil || *note.End != 1738321200124 || note.Kind != "note" || note.Author != "analyst1" || note.Key != "" {
		t.Errorf("got %+v", note)
	}

	viewer := s.as(store.Viewer)
	list := func(query string) (ids []string, more bool) {
		t.Helper()
		r := viewer.get("/api/v1/events" + query)
		r.want(http.StatusOK, "")
		var answer struct {
			Events []annotation
			More   bool
		}
		r.decode(&answer)
		for _, e := range answer.Events {
			ids = append(ids, e.ID)
		}
		return ids, answer.More
	}
	for query, want := range map[string][]string{
		"": {got.ID}, "?from=0": {got.ID, note.ID}, "?from=1738321200124&to=1738321300000": {note.ID}, "?from=1738321200125&to=1738321300000": nil,
	} {
		if ids, more := list(query); !slices.Equal(ids, want) || more {
			t.Errorf("%q gives %v, more %v; want %v", query, ids, more, want)
		}
	}
	if ids, more := list("?from=0&limit=1"); len(ids) != 1 || !more {
		t.Errorf("with limit 1: %v, more %v", ids, more)
	}
	viewer.get("/api/v1/events?limit=1001").want(http.StatusBadRequest, "bad_limit")
	viewer.get("/api/v1/events?from=2&to=1").want(http.StatusBadRequest, "bad_range")
	s.program("reports", store.QueryScope).get("/api/v1/events").want(http.StatusOK, "")
}

func TestEventIsUpdatedByItsKey(t *testing.T) {
	s, book := openWithEvents(t)
	ci := s.program("ci", store.EventsScope)
	first := ci.record(`{"title":"db is slow","kind":"incident","key":"inc-1","tags":{"a":"1"}}`, http.StatusCreated)
	s.clock.add(time.Minute)
	again := ci.record(`{"title":"db is slow","key":"inc-1"}`, http.StatusOK) // as after an answer that was lost
	if again.Updated != first.Updated || again.Start != first.Start {
		t.Errorf("the same once more is %+v, was %+v", again, first)
	}
	ended := ci.record(fmt.Sprintf(`{"key":"inc-1","end":%d,"tags":{"b":"2"}}`, s.now().UnixMilli()), http.StatusOK)
	if ended.ID != first.ID || ended.Start != first.Start || ended.End == nil || *ended.End != s.now().UnixMilli() ||
		ended.Title != "db is slow" || ended.Kind != "incident" || fmt.Sprint(ended.Tags) != "map[b:2]" ||
		ended.Recorded != first.Recorded || ended.Updated != s.now().UnixMilli() {
		t.Errorf("got %+v, was %+v", ended, first)
	}
	if e := book.events[first.ID]; e.Version != 2 || len(book.events) != 1 {
		t.Errorf("version %d of %d events, want 2 of 1", e.Version, len(book.events))
	}
	// A token in place of one that was revoked goes on; others, and people of the same name, have keys of their own.
	if same := s.program("ci", store.EventsScope).record(`{"title":"t","key":"inc-1"}`, http.StatusOK); same.ID != first.ID {
		t.Errorf("the new token made %+v", same)
	}
	if other := s.program("ci2", store.EventsScope).record(`{"title":"t","key":"inc-1"}`, http.StatusCreated); other.ID == first.ID {
		t.Error("another token updates it")
	}
	must(t, s.Store.Users.Create(t.Context(), "ci", password, store.Analyst))
	if (sender{"user", "ci"}).eventID("inc-1") == first.ID {
		t.Error("a user of the token's name has its key")
	}
	ci.post("/api/v1/events", `{"key":"inc-1","start":"2999-01-01T00:00:00Z"}`).want(http.StatusBadRequest, "bad_event")
	ci.post("/api/v1/events", `{"key":"inc-1","end":1000000000000}`).want(http.StatusBadRequest, "bad_event")
	ci.post("/api/v1/events", `{"key":"inc-2"}`).want(http.StatusBadRequest, "bad_event")
}

func TestEventsReachOpenPages(t *testing.T) {
	s, book := openWithEvents(t)
	c := s.signedIn()
	c.get("/api/v1/events").want(http.StatusOK, "") // its answer is remembered
	watching := c.view("dashboard=overview")
	watching.want("hello", &helloData{})
	eventually(t, "it watches", func() bool { return s.openTopics() == 1 && len(s.Streams.Sessions()) == 1 })
	sent := c.record(`{"title":"<b> \u2028 7","key":"k"}`, http.StatusCreated)
	var told annotation
	if watching.want("annotation", &told); fmt.Sprint(told) != fmt.Sprint(sent) {
		t.Errorf("told %+v, want %+v", told, sent)
	}
	if r := c.get("/api/v1/events"); !strings.Contains(string(r.body), sent.ID) {
		t.Errorf("the list says %s", r.body)
	}
	c.record(`{"title":"<b> \u2028 7","key":"k"}`, http.StatusOK) // nothing new, so nobody is told
	next := c.record(`{"title":"next"}`, http.StatusCreated)
	told = annotation{}
	if watching.want("annotation", &told); told.ID != next.ID {
		t.Errorf("told %+v, want %+v", told, next)
	}
	asked := book.asked
	c.get("/api/v1/events").want(http.StatusOK, "")
	c.get("/api/v1/events").want(http.StatusOK, "")
	if book.asked != asked+1 {
		t.Errorf("history was asked %d times for two pages", book.asked-asked)
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	s, book := openWithEvents(t)
	ci := s.program("ci", store.EventsScope)
	f := func(body, code, remedy string) {
		t.Helper()
		r := ci.post("/api/v1/events", body)
		r.want(http.StatusBadRequest, code)
		if !strings.Contains(string(r.body), remedy) {
			t.Errorf("%s: got %s, want one with %q", body, r.body, remedy)
		}
	}
	f(`{}`, "bad_event", "title is missing")
	f(`{"title":" "}`, "bad_event", "title takes 1 to 200")
	f(`{"title":"`+strings.Repeat("ü", 201)+`"}`, "bad_event", "title takes 1 to 200")
	f(`{"title":"a\nb"}`, "bad_event", "one line")
	f(`{"title":"x","text":"`+strings.Repeat("ü", 2001)+`"}`, "bad_event", "text takes at most 2000")
	f(`{"title":"x","text":"\u0007"}`, "bad_event", "control characters")
	f(`{"title":"x","kind":"Deploy"}`, "bad_event", "kind takes")
	f(`{"title":"x","kind":""}`, "bad_event", "kind takes")
	f(`{"title":"x","key":""}`, "bad_event", "leave it out")
	f(`{"title":"x","key":"`+strings.Repeat("k", 201)+`"}`, "bad_event", "200")
	f(`{"title":"x","start":1763800000}`, "bad_event", "not seconds")
	f(`{"title":"x","start":"yesterday"}`, "bad_event", "start is no time")
	f(`{"title":"x","end":"1763800000000"}`, "bad_event", "as a number")
	f(`{"title":"x","start":1.5}`, "bad_event", "start is no time")
	f(`{"title":"x","start":{}}`, "bad_event", "start is no time")
	f(`{"title":"x","start":9223372036854775807}`, "bad_event", "28 days")
	f(`{"title":"x","start":"2025-01-02T00:00:00Z","end":"2025-01-01T00:00:00Z"}`, "bad_event", "end is before start")
	f(`{"title":"x","start":"2024-01-02T00:00:00Z","end":"2025-02-01T00:00:00Z"}`, "bad_event", "366 days")
	f(`{"title":"x","tags":{"":"v"}}`, "bad_event", "a name takes")
	f(`{"title":"x","tags":{"a b":"v"}}`, "bad_event", "a name takes")
	f(`{"title":"x","tags":{"a":"`+strings.Repeat("v", 201)+`"}}`, "bad_event", "at most 200")
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint("t", i)] = "v"
	}
	tags, err := json.Marshal(many)
	must(t, err)
	f(`{"title":"x","tags":`+string(tags)+`}`, "bad_event", "17 tags, the limit is 16")
	f(`{"title":"x","tags":{"a":1}}`, "bad_request", "")
	f(`{"title":"x","colour":"red"}`, "bad_request", "colour")
	f(`{"title":"x"} {}`, "bad_request", "more than one")
	f("{\"title\":\"\xff\"}", "bad_request", "UTF-8")
	f(`[]`, "bad_request", "")
	f(`nonsense`, "bad_request", "")
	if len(book.events) != 0 {
		t.Errorf("stored %v", book.events)
	}
	ci.header.Set("Content-Type", "text/plain")
	ci.post("/api/v1/events", `{"title":"x"}`).want(http.StatusUnsupportedMediaType, "not_json")
}

func TestWhoMayRecordEvents(t *testing.T) {
	s, _ := openWithEvents(t)
	const body = `{"title":"x"}`
	s.as(store.Admin).record(body, http.StatusCreated)
	s.as(store.Analyst).record(body, http.StatusCreated)
	s.as(store.Viewer).post("/api/v1/events", body).want(http.StatusForbidden, "forbidden")
	s.client().post("/api/v1/events", body).want(http.StatusUnauthorized, "unauthorized")
	for _, scope := range []store.Scope{store.AgentScope, store.MetricsScope, store.QueryScope} {
		s.program("p", scope).post("/api/v1/events", body).want(http.StatusUnauthorized, "unauthorized")
	}
	ci := s.program("ci", store.EventsScope)
	ci.record(body, http.StatusCreated)
	ci.get("/api/v1/events").want(http.StatusUnauthorized, "unauthorized") // it opens nothing else
	ci.post("/api/v1/sql", "SELECT 1").want(http.StatusUnauthorized, "unauthorized")
	foreign := s.signedIn()
	foreign.header.Set("Origin", "https://elsewhere.example")
	foreign.post("/api/v1/events", body).want(http.StatusForbidden, "foreign_origin")
}

func TestOneSenderRecordsSoManyEvents(t *testing.T) {
	s, book := openWithEvents(t)
	ci := s.program("ci", store.EventsScope)
	for i := range eventBurst {
		ci.record(fmt.Sprintf(`{"title":"%d"}`, i), http.StatusCreated)
	}
	r := ci.post("/api/v1/events", `{"title":"x"}`)
	r.want(http.StatusTooManyRequests, "too_many_events")
	if r.Header.Get("Retry-After") != "1" || !strings.Contains(string(r.body), "60 events a minute") {
		t.Errorf("headers %v, body %s", r.Header, r.body)
	}
	s.as(store.Analyst).record(`{"title":"of another"}`, http.StatusCreated)
	s.clock.add(time.Second)
	ci.record(`{"title":"y"}`, http.StatusCreated)
	if len(book.events) != eventBurst+2 {
		t.Errorf("%d events", len(book.events))
	}
}

func TestEventsWithoutHistory(t *testing.T) {
	s, book := openWithEvents(t)
	ci := s.program("ci", store.EventsScope)
	c := s.signedIn()
	c.get("/api/v1/events").want(http.StatusOK, "")
	f := func(err error, code string) {
		t.Helper()
		book.fail(err)
		for _, body := range []string{`{"title":"x"}`, `{"title":"x","key":"k"}`} {
			r := ci.post("/api/v1/events", body)
			r.want(http.StatusServiceUnavailable, code)
			if r.Header.Get("Retry-After") != "10" || strings.Contains(string(r.body), "10.0.0.7") {
				t.Errorf("headers %v, body %s", r.Header, r.body)
			}
		}
	}
	f(errors.New("no route to 10.0.0.7"), "history_unavailable")
	f(&LimitError{Code: "disk_full", Message: "nearly full", Passing: true}, "disk_full")
	c.get("/api/v1/events").want(http.StatusOK, "") // what was known is still told
	book.fail(errors.New("away"))
	c.get("/api/v1/events?from=0").want(http.StatusServiceUnavailable, "history_unavailable")
	book.fail(nil)
	ci.record(`{"title":"x","key":"k"}`, http.StatusCreated)
	if len(book.events) != 1 {
		t.Errorf("%d events, want the one that was answered with 201", len(book.events))
	}
}

func TestPacesAreForgotten(t *testing.T) {
	p := &newEventLog(nil).pace
	now := time.Now()
	for i := range rememberedPaces {
		p.take(sender{"token", fmt.Sprint(i)}, now)
	}
	p.take(sender{"user", "busy"}, now.Add(30*time.Second))
	if n := len(p.bySender); n != 1 { // each of the others has all its turns again
		t.Errorf("%d senders are remembered", n)
	}
}

func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`{"title":"shop 1.4.2","kind":"deploy","key":"run-7","tags":{"service":"shop"},"start":"2026-01-31T12:00:00+01:00","end":1769857200000}`,
		`{"title":null,"start":null}`, `{"title":"\ud800"}`, `{"start":-1}`, `{"start":"0000-01-01T00:00:00Z"}`, `{"end":1e99}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	now := time.UnixMilli(1_763_800_000_000)
	f.Fuzz(func(t *testing.T, body []byte) {
		draft, err := parseEvent(body, now)
		if err == nil {
			var e Event
			if e, err = draft.applied(Event{Start: now, Kind: "note"}); err == nil {
				checkEvent(t, e, now)
				return
			}
		}
		var refused *apiError
		if !errors.As(err, &refused) || refused.status != http.StatusBadRequest {
			t.Errorf("error %v, want a refusal", err)
		}
	})
}

func checkEvent(t *testing.T, e Event, now time.Time) {
	t.Helper()
	switch {
	case e.Title == "" || len(e.Title) > 4*maxEventTitle || len(e.Text) > 4*maxEventText || !eventKind.MatchString(e.Kind) || len(e.Tags) > maxEventTags:
	case e.Start.Before(firstEventStart) || e.Start.After(now.Add(maxEventAhead)) || e.last().Before(e.Start) || e.last().Sub(e.Start) > maxEventSpan:
	case e.Start.Nanosecond()%int(time.Millisecond) != 0 || e.End.Nanosecond()%int(time.Millisecond) != 0:
	default:
		return
	}
	t.Errorf("%+v is taken", e)
}
