package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate/engine"
	"telltale/aggregate/engine/enginetest"
)

// overview returns the names of the overview's queries that have a value in the newest snapshot.
func (in *installation) overview(session *http.Cookie) []string {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.listen+"/api/v1/stream?dashboard=overview", nil)
	if err != nil {
		in.t.Fatal(err)
	}
	request.AddCookie(session)
	response, err := viewersTransport.RoundTrip(request)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines, name := bufio.NewReader(response.Body), ""
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			in.t.Fatalf("the stream ends without a snapshot: %v", err)
		}
		if rest, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(bytes.TrimSpace(rest))
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok || name != "snapshot" {
			continue
		}
		var snapshot told
		if err := json.Unmarshal(data, &snapshot); err != nil {
			in.t.Fatal(err)
		}
		maps.DeleteFunc(snapshot.Queries, func(_ string, q struct{ Values [][]*float64 }) bool {
			return !slices.ContainsFunc(q.Values, func(values []*float64) bool {
				return slices.ContainsFunc(values, func(v *float64) bool { return v != nil })
			})
		})
		return slices.Sorted(maps.Keys(snapshot.Queries))
	}
}

// A hub that kept its history in the embedded ClickHouse is moved to an outside server, behind TLS of an authority of its
// own, by a flag: the same users see the same overview, and history, SQL and agents work there.
func TestAHubIsMovedToAnOutsideServerByAFlag(t *testing.T) {
	t.Parallel()
	server := enginetest.Own{TCPPort: enginetest.FreePort(t), Password: "of the/server"}.Start(t, t.TempDir())
	own := server.Addresses()
	tomorrow := time.Now().Add(24 * time.Hour)
	native := enginetest.TLS(t, own.TCP, "127.0.0.1", tomorrow)
	web := enginetest.TLS(t, strings.TrimPrefix(own.HTTP, "http://"), "127.0.0.1", tomorrow)
	authorities := bothAuthorities(t, native, web)
	dsn := func(password string) string {
		return fmt.Sprintf("clickhouse://%s@%s/telltale?secure=true", url.UserPassword(engine.WriterUser, password), native.Address)
	}

	in := install(t)
	hub := in.startHub()
	agent := in.startAgent()
	in.awaitMore(hub, 3)
	var before []string
	eventually(t, "the overview has memory", func() bool {
		before = in.overview(in.signIn())
		return slices.Contains(before, "memory")
	})
	stop(t, hub)

	for _, refused := range []struct{ dsn, says string }{
		{dsn("another"), `the user "telltale" or its password is refused`},
		{strings.Replace(dsn("of the/server"), "?secure=true", "", 1), "--clickhouse-ca is given"},
	} {
		p := in.start("telltale", "migrate", "--clickhouse", refused.dsn, "--clickhouse-ca", authorities)
		<-p.ended
		if said := p.output.String(); p.ProcessState.ExitCode() != 1 || !strings.Contains(said, refused.says) || strings.Contains(said, "another") {
			t.Errorf("migrate by %s: exit code %d, it says %s", refused.dsn, p.ProcessState.ExitCode(), said)
		}
	}

	address, err := url.Parse(own.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	address.Scheme, address.Host, address.Path = "https", web.Address, "/telltale"
	address.User = url.UserPassword(engine.WriterUser, "of the/server")
	in.startHub("--clickhouse", dsn("of the/server"), "--clickhouse-ca", authorities, "--clickhouse-analyst", address.String())
	session := in.signIn()
	eventually(t, "the overview is the same", func() bool { return slices.Equal(in.overview(session), before) })
	in.assertHistory(session)
	stop(t, agent)
}

// assertHistory waits until the agent of this host is in history, by SQL and by queries.
func (in *installation) assertHistory(session *http.Cookie) {
	in.t.Helper()
	eventually(in.t, "new samples are stored", func() bool {
		var answer struct{ Data []struct{ N int } }
		in.get(session, http.MethodPost, "/api/v1/sql?format=json", "SELECT toUInt32(count()) AS n "+perSecond, &answer)
		return answer.Data[0].N > 3
	})
	now := time.Now().UnixMilli()
	eventually(in.t, "the history answers", func() bool {
		var answer struct {
			Queries map[string]struct{ Values [][]*float64 }
		}
		in.get(session, http.MethodPost, "/api/v1/query", fmt.Sprintf(`{"queries":{"memory":{"metric":"system.memory.utilization","over":"last","agg":"avg"}},
			"from":%d,"to":%d,"step":"10s"}`, now-60_000, now+60_000), &answer)
		return len(answer.Queries["memory"].Values) == 1
	})
}

// The commands and a hub on a cluster of two servers, one of which goes away.
func TestAHubOnACluster(t *testing.T) {
	t.Parallel()
	servers := enginetest.StartCluster(t, nil)
	own := servers.Engines[0].Addresses()
	in := install(t)
	cluster := []string{"--clickhouse", own.DSN, "--clickhouse-cluster", enginetest.ClusterName}
	in.command(append([]string{"migrate"}, cluster...)...)
	if said := in.command(append([]string{"history", "rebuild", "--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, cluster...)...); !strings.Contains(said, " 50 %  tier_1h") || !strings.Contains(said, "100 %  tier_1h") {
		t.Errorf("a rebuild of both shards says %s", said)
	}
	unknown := in.start("telltale", "migrate", "--clickhouse", own.DSN, "--clickhouse-cluster", "another")
	<-unknown.ended
	if said := unknown.output.String(); unknown.ProcessState.ExitCode() != 1 || !strings.Contains(said, `no cluster "another"`) {
		t.Errorf("a cluster that nobody knows: exit code %d, it says %s", unknown.ProcessState.ExitCode(), said)
	}

	address, err := url.Parse(own.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := url.Parse(own.DSN)
	if err != nil {
		t.Fatal(err)
	}
	address.User, address.Path = dsn.User, dsn.Path
	hub := in.startHub(append(cluster, "--clickhouse-analyst", address.String())...)
	agent := in.startAgent()
	session := in.signIn()
	in.assertHistory(session)

	servers.Engines[1].Close(t.Context())
	for path, body := range map[string]string{
		"/api/v1/query": fmt.Sprintf(`{"queries":{"q":{"metric":"m","over":"last","agg":"avg"}},"from":%d,"to":%d,"step":"1m"}`,
			time.Now().Add(-time.Hour).UnixMilli(), time.Now().UnixMilli()),
		"/api/v1/sql": "SELECT count() FROM samples",
	} {
		answer := ask(t, "http://"+in.listen, http.MethodPost, path, "", session, body)
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode == http.StatusOK || !strings.Contains(string(text), "a shard of the history does not answer") {
			t.Errorf("%s without a shard: %s %s %v", path, answer.Status, text, err)
		}
	}
	servers.Start(t, 1)
	in.assertHistory(session)
	stop(t, agent)
	stop(t, hub)
}

// bothAuthorities is one file with the authorities of two servers.
func bothAuthorities(t *testing.T, a, b enginetest.Secure) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authorities.pem")
	var all []byte
	for _, s := range []enginetest.Secure{a, b} {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pem...)
	}
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func stop(t *testing.T, p *process) {
	t.Helper()
	if p.signal(syscall.SIGTERM); p.ProcessState.ExitCode() != 0 {
		t.Errorf("%s ends with exit code %d", p.Path, p.ProcessState.ExitCode())
	}
}
