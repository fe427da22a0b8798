package dashboard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"telltale/dashboard/store"
)

// analystFunc is an Analysts of one function.
type analystFunc func(context.Context, SQL) (*SQLResult, error)

func (f analystFunc) Run(ctx context.Context, statement SQL) (*SQLResult, error) {
	return f(ctx, statement)
}

func withAnalysts(f analystFunc) option { return func(_ *Config, p *Parts) { p.Analysts = f } }

// echo answers with what it was asked.
func echo(_ context.Context, s SQL) (*SQLResult, error) {
	text := s.Format + " " + s.Text
	for name, value := range s.Parameters {
		text += " " + name + "=" + value
	}
	return &SQLResult{ContentType: "text/x-" + s.Format, Body: io.NopCloser(strings.NewReader(text))}, nil
}

func TestSQL(t *testing.T) {
	s := open(t, withAnalysts(echo))
	c := s.signedIn()
	for _, test := range []struct{ accept, query, want string }{
		{"", "", "JSON SELECT 1"},
		{"*/*", "", "JSON SELECT 1"},
		{"text/csv", "", "CSVWithNames SELECT 1"},
		{"text/html, application/x-ndjson;q=0.9", "", "JSONEachRow SELECT 1"},
		{"text/csv", "?format=parquet", "Parquet SELECT 1"},
		{"application/vnd.apache.arrow.stream", "?param_agent=web+1%26", "ArrowStream SELECT 1 agent=web 1&"},
		{"", "?format=tsv&database=system", "TabSeparatedWithNames SELECT 1"},
	} {
		c.header.Set("Accept", test.accept)
		r := c.post("/api/v1/sql"+test.query, "SELECT 1")
		r.want(http.StatusOK, "")
		format, _, _ := strings.Cut(test.want, " ")
		if string(r.body) != test.want || r.Header.Get("Content-Type") != "text/x-"+format || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q %q: got %q, headers %v; want %q", test.accept, test.query, r.body, r.Header, test.want)
		}
	}
	c.post("/api/v1/sql?format=excel", "SELECT 1").want(http.StatusBadRequest, "bad_format")
	c.post("/api/v1/sql", " \n").want(http.StatusBadRequest, "bad_request")
	c.post("/api/v1/sql", strings.Repeat("x", maxSQLBytes+1)).want(http.StatusRequestEntityTooLarge, "body_too_large")
	c.header.Set("Content-Encoding", "gzip")
	c.post("/api/v1/sql", "SELECT 1").want(http.StatusUnsupportedMediaType, "compressed")
}

func TestSQLIsForAnalysts(t *testing.T) {
	s := open(t, withAnalysts(echo))
	as := func(role store.Role) *client {
		name := string(role) + "1"
		must(t, s.Store.Users.Create(t.Context(), name, password, role))
		for _, u := range s.Store.Users.List() {
			if u.Name == name {
				_, cookie, err := s.Store.Sessions.Create(t.Context(), u, "test")
				must(t, err)
				c := s.client()
				c.cookies = []*http.Cookie{{Name: "telltale", Value: cookie.Reveal()}}
				return c
			}
		}
		t.Fatalf("no user %s", name)
		return nil
	}
	as(store.Analyst).post("/api/v1/sql", "SELECT 1").want(http.StatusOK, "")
	as(store.Viewer).post("/api/v1/sql", "SELECT 1").want(http.StatusForbidden, "forbidden")
	s.client().post("/api/v1/sql", "SELECT 1").want(http.StatusUnauthorized, "unauthorized")

	program := s.client()
	for scope, status := range map[store.Scope]int{store.QueryScope: 200, store.MetricsScope: 401, store.AgentScope: 401} {
		_, secret, err := s.Store.Tokens.Create(t.Context(), "program", scope)
		must(t, err)
		program.header.Set("Authorization", "Bearer "+secret.Reveal())
		if r := program.post("/api/v1/sql", "SELECT 1"); r.StatusCode != status {
			t.Errorf("scope %s: %s, want %d", scope, r.Status, status)
		}
	}
	foreign := s.signedIn()
	foreign.header.Set("Origin", "https://elsewhere.example")
	foreign.post("/api/v1/sql", "SELECT 1").want(http.StatusForbidden, "foreign_origin")
}

func TestSQLErrors(t *testing.T) {
	var fails error
	s := open(t, withAnalysts(func(context.Context, SQL) (*SQLResult, error) { return nil, fails }))
	c := s.signedIn()
	for _, test := range []struct {
		err    error
		status int
		code   string
	}{
		{&SQLError{"bad_sql", "syntax"}, http.StatusBadRequest, "bad_sql"},
		{&SQLError{"sql_limit", "memory"}, http.StatusBadRequest, "sql_limit"},
		{&SQLError{"forbidden", "read only"}, http.StatusForbidden, "forbidden"},
		{&SQLError{"busy", "later"}, http.StatusServiceUnavailable, "busy"},
		{&LimitError{Code: "no_sql", Message: "no address"}, http.StatusServiceUnavailable, "no_sql"},
		{errors.New("connection refused by 10.0.0.7"), http.StatusServiceUnavailable, "history_unavailable"},
	} {
		fails = test.err
		r := c.post("/api/v1/sql", "SELECT 1")
		r.want(test.status, test.code)
		if strings.Contains(string(r.body), "10.0.0.7") {
			t.Errorf("%s tells of our network", r.body)
		}
	}
}

// TestSQLThatBreaksOff: the client must see that what it has is not all.
func TestSQLThatBreaksOff(t *testing.T) {
	s := open(t, withAnalysts(func(context.Context, SQL) (*SQLResult, error) {
		body := io.MultiReader(strings.NewReader("1\n2\n"), failing{})
		return &SQLResult{ContentType: "text/csv", Body: io.NopCloser(body)}, nil
	}))
	answer := s.signedIn().open(http.MethodPost, "/api/v1/sql", "SELECT 1")
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil || string(body) != "1\n2\n" {
		t.Errorf("read %q, error %v; want a broken result", body, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken off") }

// TestSQLEndsWhenTheClientLeaves, while it computes and while it sends.
func TestSQLEndsWhenTheClientLeaves(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error)
	var sending bool
	s := open(t, withAnalysts(func(ctx context.Context, _ SQL) (*SQLResult, error) {
		if sending {
			in, out := io.Pipe()
			go func() {
				_, _ = out.Write([]byte("1\n"))
				<-ctx.Done()
				_ = out.CloseWithError(ctx.Err())
				ended <- context.Cause(ctx)
			}()
			return &SQLResult{ContentType: "text/csv", Body: in}, nil
		}
		began <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}))
	c := s.signedIn()

	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/sql", strings.NewReader("SELECT 1"))
	must(t, err)
	request.AddCookie(c.cookies[0])
	gone := make(chan error)
	go func() {
		answer, err := transport.RoundTrip(request)
		if err == nil {
			_ = answer.Body.Close()
		}
		gone <- err
	}()
	<-began
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the request ended with %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("while it computes: ended with %v", err)
	}

	sending = true
	answer := c.open(http.MethodPost, "/api/v1/sql", "SELECT 1")
	first := make([]byte, 2)
	_, err = io.ReadFull(answer.Body, first)
	must(t, err)
	_ = answer.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("while it sends: ended with %v", err)
	}
}
