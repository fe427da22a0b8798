package dashboard

import (
	"net/http"
	"strings"
	"testing"

	"telltale/dashboard/store"
)

func TestNoticesReachEverybody(t *testing.T) {
	var told []string
	s := open(t, func(_ *Config, parts *Parts) {
		parts.NotifyAgents = func(level, text string) { told = append(told, level+": "+text) }
	})
	c := s.signedIn()
	overview, host := c.view("dashboard=overview"), c.view("dashboard=host&agent=a")
	overview.want("hello", &helloData{})
	host.want("hello", &helloData{})
	eventually(t, "both watch", func() bool { return len(s.Streams.Sessions()) == 1 && s.openTopics() == 2 })
	c.post("/api/v1/notices", `{"text":" The database is restarted at 18:00. ","level":"warning"}`).want(http.StatusNoContent, "")
	c.post("/api/v1/notices", `{"text":"Ü \u2028 \"<b>"}`).want(http.StatusNoContent, "")
	for _, v := range []*viewer{overview, host} {
		var n notice
		if v.want("notice", &n); n != (notice{"warning", "The database is restarted at 18:00."}) {
			t.Errorf("notice %+v", n)
		}
		n = notice{}
		if v.want("notice", &n); n != (notice{"info", "Ü \u2028 \"<b>"}) {
			t.Errorf("notice %+v", n)
		}
	}
	if len(told) != 2 || told[0] != "warning: The database is restarted at 18:00." {
		t.Errorf("agents were told %q", told)
	}
}

func TestNoticesThatAreRefused(t *testing.T) {
	s := open(t)
	c := s.signedIn()
	f := func(body string, status int, code string) {
		t.Helper()
		c.post("/api/v1/notices", body).want(status, code)
	}
	f(`{"text":""}`, http.StatusBadRequest, "bad_notice")
	f(`{"text":"  "}`, http.StatusBadRequest, "bad_notice")
	f(`{"text":"a\nb"}`, http.StatusBadRequest, "bad_notice")
	f(`{"text":"`+strings.Repeat("x", 501)+`"}`, http.StatusBadRequest, "bad_notice")
	f(`{"text":"x","level":"loud"}`, http.StatusBadRequest, "bad_notice")
	f(`{"text":"x","colour":"red"}`, http.StatusBadRequest, "bad_request")
	f(`nonsense`, http.StatusBadRequest, "bad_request")
	c.header.Set("Origin", "https://elsewhere.example")
	f(`{"text":"x"}`, http.StatusForbidden, "foreign_origin")
	c.header.Del("Origin")
	s.client().post("/api/v1/notices", `{"text":"x"}`).want(http.StatusUnauthorized, "unauthorized")

	must(t, s.Store.Users.Create(t.Context(), "reader", password, store.Viewer))
	user, err := s.Store.Users.Verify(t.Context(), "reader", password)
	must(t, err)
	_, cookie, err := s.Store.Sessions.Create(t.Context(), user, "test")
	must(t, err)
	c.cookies = []*http.Cookie{{Name: "telltale", Value: cookie.Reveal()}}
	f(`{"text":"x"}`, http.StatusForbidden, "admins_only")
}
