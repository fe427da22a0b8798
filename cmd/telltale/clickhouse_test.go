package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"telltale/aggregate/engine/enginetest"
)

func TestPasswordsAreMaskedInTheLog(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got := masked(value); got != want {
			t.Errorf("%s is shown as %s, want %s", value, got, want)
		}
	}
	f("clickhouse://telltale:secret@db:9000/telltale", "clickhouse://telltale:xxxxx@db:9000/telltale")
	f("clickhouse://telltale:secret@db-1:9000,db-2:9000/telltale?secure=true", "clickhouse://telltale:xxxxx@db-1:9000,db-2:9000/telltale?secure=true")
	f("clickhouse://db:9000/telltale?username=u&password=secret&secure=true", "clickhouse://db:9000/telltale?username=u&password=xxxxx&secure=true")
	f("http://analyst:secret@db:8123/telltale", "http://analyst:xxxxx@db:8123/telltale")
	f("clickhouse://telltale:sec@ret@db:9000/telltale?x=a@b", "clickhouse://telltale:xxxxx@db:9000/telltale?x=a@b")
	f("nats://user@host:4222", "nats://user@host:4222")
	f("127.0.0.1:8080", "127.0.0.1:8080")
}

func TestFlagsOfAnOutsideClickHouse(t *testing.T) {
	f := func(flags outsideFlags, complaint string) {
		t.Helper()
		err := flags.Validate()
		if err == nil && flags.Clickhouse != "" {
			_, err = flags.options(slog.New(slog.DiscardHandler))
		}
		if complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("%+v: the error is %v, want %q in it", flags, err, complaint)
		}
	}
	ca := enginetest.TLS(t, "127.0.0.1:1", "127.0.0.1", time.Now().Add(time.Hour)).CAFile
	const dsn = "clickhouse://telltale:pw@db:9440/telltale"
	f(outsideFlags{}, "")
	f(outsideFlags{Clickhouse: dsn + "?secure=true&skip_verify=true"}, "")
	f(outsideFlags{ClickhouseCluster: "metrics"}, "go with --clickhouse")
	f(outsideFlags{Clickhouse: "http://telltale:pw@db:8123/telltale"}, "native protocol")
	f(outsideFlags{Clickhouse: dsn, ClickhouseCA: "main.go"}, "no certificate")
	f(outsideFlags{Clickhouse: dsn, ClickhouseCA: "missing.pem"}, "missing.pem")
	f(outsideFlags{Clickhouse: dsn, ClickhouseCA: ca}, "secure=true")
	f(outsideFlags{Clickhouse: dsn + "?secure=true", ClickhouseCA: ca}, "")
}
