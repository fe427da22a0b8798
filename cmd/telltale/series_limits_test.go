package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An agent with too many series has the others stored, is told of those refused, with the limit and the remedy, and does not
// take other agents' room; the same for a hub with too many in all. What has ended makes room.
func TestLimitsOfSeries(t *testing.T) {
	in := install(t)
	hub := in.startHub("--max-series-per-agent", "3", "--max-series", "60")
	session := in.signIn()
	samples := func(names ...string) []string {
		for i, name := range names {
			names[i] = fmt.Sprintf(`{"metric":%q,"value":1,"ts":%d}`, name, time.Now().UnixMilli())
		}
		return names
	}
	greedy := in.connect("greedy", 0)
	greedy.await("welcome", 0)
	greedy.batch(1, samples("a", "b", "c", "d", "e")...)
	notice, ack := greedy.until("ack")
	if want := "agent \"greedy\" has its limit of 3 series: send fewer distinct labels, or raise --max-series-per-agent"; !strings.Contains(notice, want) {
		t.Errorf("the agent is told %q, not %q", notice, want)
	}
	if got := fmt.Sprint(ack.Refused); got != "[{1 3 series_limit} {1 4 series_limit}]" {
		t.Errorf("refused are %s", got)
	}
	greedy.batch(2, samples("e", "a")...) // of what is known, all is taken
	if notice, ack := greedy.until("ack"); notice != "" || fmt.Sprint(ack.Refused) != "[{2 0 series_limit}]" {
		t.Errorf("refused are %v, and the agent is told %q again", ack.Refused, notice)
	}
	if got := in.metric(session, `telltale_ingest_refused_samples_total{reason="series_limit"}`); got != 3 {
		t.Errorf("%v refused samples are counted, want 3", got)
	}
	if got := in.metric(session, "telltale_series_refused_total"); got != 2 {
		t.Errorf("%v refused series are counted, want 2", got)
	}

	whole := ""
	for n := 0; whole == "" && n < 60; n++ {
		other := in.connect(fmt.Sprint("other-", n), 0)
		other.await("welcome", 0)
		other.batch(1, samples("a", "b", "c")...)
		whole, _ = other.until("ack")
	}
	if want := "the hub has its limit of 60 series: send fewer distinct labels, or raise --max-series"; !strings.Contains(whole, want) {
		t.Errorf("an agent beyond the hub's limit is told %q, not %q", whole, want)
	}
	if got := in.metric(session, "telltale_series"); got != 60 {
		t.Errorf("the hub has %v series, its limit is 60", got)
	}
	eventually(t, "what was taken is stored, and nothing else", func() bool {
		return mustSQL(t, hub, "SELECT arraySort(groupUniqArray(metric)), count() FROM samples WHERE agent = 'greedy'") == "['a','b','c']\t4"
	})

	for _, wrong := range []string{"--max-series=0", "--max-series-per-agent=-1"} {
		out, err := exec.Command(in.bin+"/telltale", "serve", "--data", t.TempDir(), wrong).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "give at least 1") {
			t.Errorf("%s: %v %s", wrong, err, out)
		}
	}
}

// refusals is a frame of the hub's, as far as it tells of refusals.
type refusals struct {
	Type, Text string
	Refused    []struct {
		Seq, Index int
		Reason     string
	}
}

// until reads on to the next frame of a type, and returns it and the text of the notice before it.
func (c *client) until(kind string) (notice string, frame refusals) {
	c.t.Helper()
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		frame = refusals{}
		if err := c.conn.ReadJSON(&frame); err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		if frame.Type == "notice" {
			notice = frame.Text
		}
		if frame.Type == kind {
			return notice, frame
		}
	}
}

// metric is a value of /metrics, by its name and labels as they stand there.
func (in *installation) metric(session *http.Cookie, name string) float64 {
	in.t.Helper()
	answer := ask(in.t, "http://"+in.listen, http.MethodGet, "/metrics", "", session, "")
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				in.t.Fatalf("%s: %v", lines.Text(), err)
			}
			return value
		}
	}
	in.t.Fatalf("/metrics has no %s", name)
	return 0
}
