package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testdata/first-schema.tar.gz is a data directory as the first telltale that could query its history has left it: a hub with
// schema 2, to which a host's agent (first-host, 13 s) and a client (first-1) have delivered. It has the token and
// the password of the other tests. The client's samples of second i of firstMinute, from 1 to 30, are
// first.level i, and 100+i with disk=b; first.orders 2; first.duration 0.1, 0.2 and i.
const firstMinute = 1795407540_000

// unpack unpacks the fixture.
func unpack(t *testing.T, file, to string) {
	t.Helper()
	packed, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, head.Name)
		switch head.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o700)
		case tar.TypeSymlink:
			err = os.Symlink(head.Linkname, path)
		default:
			var text []byte
			if text, err = io.ReadAll(archive); err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// keepForEver has hubs keep what the fixture has, whenever the test is run.
func keepForEver(t *testing.T) {
	for _, name := range []string{"RAW", "10S", "1M", "1H"} {
		t.Setenv("TELLTALE_RETENTION_"+name, "200000h")
	}
}

// A data directory made by the first schema opens with today's.
func TestUpgradeFromTheFirstSchema(t *testing.T) {
	keepForEver(t)
	in := install(t)
	unpack(t, "testdata/first-schema.tar.gz", in.data)
	migrated := in.start("telltale", "migrate", "--data", in.data)
	<-migrated.ended
	if said := migrated.output.String(); migrated.ProcessState.ExitCode() != 0 || !strings.Contains(said, "name=tiers") || !strings.Contains(said, "the newest that this telltale knows") {
		t.Fatalf("migrate: exit code %d\n%s", migrated.ProcessState.ExitCode(), said)
	}
	hub := in.startHub()
	if status := in.browser().signIn("admin", "a-password-for-tests"); status != http.StatusNoContent {
		t.Fatalf("sign-in: %d", status)
	}
	if got := mustSQL(t, hub, "SELECT agent, count(), uniqExact(metric) FROM samples WHERE agent LIKE 'first-%' GROUP BY agent ORDER BY agent"); got != "first-1\t180\t3\nfirst-host\t488\t26" {
		t.Errorf("samples are\n%s", got)
	}
	in.checkFirstMinute(0)

	eventually(t, "the tiers are summed up", func() bool {
		got, err := sql(t, hub, fmt.Sprintf("SELECT sum(count), sum(sum) FROM samples_1m WHERE metric = 'first.orders' AND window_start = toDateTime(%d)", firstMinute/1000))
		return err == nil && got == "30\t60"
	})
	in.checkFirstMinute(0)

	// The epoch goes on where it was, and so do series, though their ids are others now.
	c := in.connect("first-1", 0)
	c.await("welcome", 0)
	c.batch(31, fmt.Sprintf(`{"metric":"first.level","unit":"1","value":90,"ts":%d,"labels":{"region":"eu"}}`, firstMinute+31_000))
	c.await("ack", 31)
	in.checkFirstMinute(90)
	if got := mustSQL(t, hub, "SELECT count(), uniqExact(agent, labels) FROM samples WHERE metric = 'first.level'"); got != "61\t2" {
		t.Errorf("first.level has %s", got)
	}
	in.startAgent()
	in.awaitMore(hub, 2)

	hub.signal(syscall.SIGTERM)
	hub = in.startHub() // and nothing is done twice
	if strings.Contains(hub.output.String(), "migrating") {
		t.Error("a second start migrates again")
	}
	in.checkFirstMinute(90)
}

// checkFirstMinute asks history by queries, in windows that a tier has and in finer ones. late is a level that came since, at
// second 31, where not 0.
func (in *installation) checkFirstMinute(late float64) {
	t := in.t
	t.Helper()
	session := in.signIn()
	levels := []float64{5 + 105, 14.5 + 114.5, 24.5 + 124.5, 30 + 130, math.NaN(), math.NaN()}
	minute := 15.5 + 115.5
	if late != 0 { // beside the last sample of before
		levels[3] = (30+late)/2 + 130
		minute = (15.5*30+late)/31 + 115.5
	}
	for _, c := range []struct {
		query, step string
		want        []float64
	}{
		{`{"metric":"first.level","over":"avg","agg":"sum"}`, "10s", levels},
		{`{"metric":"first.level","over":"avg","agg":"sum"}`, "1m", []float64{minute}},
		{`{"metric":"first.level","over":"avg","agg":"count"}`, "10s", []float64{2, 2, 2, 2, 0, 0}},
		{`{"metric":"first.level","where":{"disk":"b","region":"eu"},"over":"max","agg":"max"}`, "1m", []float64{130}},
		{`{"metric":"first.orders","over":"increase","agg":"sum"}`, "10s", []float64{18, 20, 20, 2, math.NaN(), math.NaN()}},
		{`{"metric":"first.orders","over":"increase","agg":"sum"}`, "1m", []float64{60}},
		{`{"metric":"first.duration","agg":"count"}`, "1m", []float64{90}},
	} {
		var answer struct {
			Queries map[string]struct {
				Values [][]*float64
			}
		}
		in.get(session, http.MethodPost, "/api/v1/query", fmt.Sprintf(`{"queries":{"q":%s},"from":%d,"to":%d,"step":%q}`,
			c.query, firstMinute, firstMinute+time.Minute.Milliseconds(), c.step), &answer)
		var got []float64
		for _, row := range answer.Queries["q"].Values {
			for _, value := range row {
				if value == nil {
					got = append(got, math.NaN())
				} else {
					got = append(got, *value)
				}
			}
		}
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }
		if !slices.EqualFunc(got, c.want, near) {
			t.Errorf("%s by %s: %v, want %v", c.query, c.step, got, c.want)
		}
	}
}
