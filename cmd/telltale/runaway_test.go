package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale/aggregate/engine"
)

// runawayPlan is how many agents push while analysts ask what never ends, and for how long.
type runawayPlan struct {
	agents, series int
	warm           time.Duration // before anything is measured; 0: none
	each           time.Duration // without analysts, and with them
	statementTime  time.Duration // that a statement may take; 0: what analysts may
}

func TestRunawayQuery(t *testing.T) {
	runRunaway(t, runawayPlan{agents: 50, series: 20, each: 5 * time.Second, statementTime: 2 * time.Second})
}

// runaways are questions that no analyst should ask. The first two cannot end.
var runaways = []string{
	"SELECT count() FROM numbers(1000000000000) AS n CROSS JOIN samples AS a CROSS JOIN samples AS b WHERE a.value < b.value + n.number",
	"SELECT sum(sipHash64(number)) FROM numbers(1000000000000)",
	"SELECT count() FROM samples AS a CROSS JOIN samples AS b WHERE a.value < b.value",
	"SELECT * FROM samples ORDER BY value, ts DESC, toString(labels)",
	"SELECT metric, agent, labels, ts, groupArray(value), uniqExact(value), quantileExact(value) FROM samples GROUP BY ALL",
	"SELECT count() FROM samples WHERE arrayExists(v -> match(concat(v, metric, toString(ts)), '(a|b|c|d|e)*.*(y|z){3}.*[0-9]+$'), mapValues(labels))",
	"SELECT a.metric, count() FROM series AS a CROSS JOIN series AS b CROSS JOIN samples AS c GROUP BY ALL",
}

// runRunaway measures agents and viewers of a hub by themselves, and then beside analysts whose statements, twice as many as may
// run at once by either way, are all too dear. How long things took is for people to compare.
func runRunaway(t *testing.T, plan runawayPlan) {
	f := newFleet(t, 512<<20, 1)
	eventually(t, "ClickHouse runs", func() bool { return engineOf(f.hub) != 0 })
	acknowledged := int64(0)
	if plan.warm > 0 {
		acknowledged += f.load(plan, plan.warm).agents.SamplesAcknowledged
	}
	alone := f.load(plan, plan.each)
	rush := f.beginRush(plan)
	beside := f.load(plan, plan.each)
	tally := rush.end()
	acknowledged += alone.agents.SamplesAcknowledged + beside.agents.SamplesAcknowledged
	alone.check(t, "alone")
	beside.check(t, "beside analysts")
	t.Logf("%d agents x %d series\nalone:           %v\nbeside analysts: %v\nwhat became of the statements:\n%s", plan.agents, plan.series, alone, beside, tally)

	history := openHistory(t, f.data)
	var stored, twice uint64
	const bench = "FROM samples WHERE agent LIKE 'bench-%'"
	for question, into := range map[string]*uint64{
		"SELECT count() " + bench: &stored,
		"SELECT count() FROM (SELECT 1 " + bench + " GROUP BY agent, metric, toString(labels), ts HAVING count() > 1)": &twice,
	} {
		if err := history.QueryRow(t.Context(), question).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if stored != uint64(acknowledged) || twice > 0 {
		t.Errorf("%d samples are stored, %d of them twice; %d were acknowledged", stored, twice, acknowledged)
	}
	eventually(t, "no statement of an analyst runs any more", func() bool {
		var running uint64
		err := history.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE user = 'analyst'").Scan(&running)
		return err == nil && running == 0
	})
}

// measured is what a load was like.
type measured struct {
	agents struct {
		SamplesAcknowledged int64            `json:"samples_acknowledged"`
		SamplesOutstanding  int64            `json:"samples_outstanding"`
		SamplesLost         int64            `json:"samples_lost"`
		SamplesRefused      map[string]int64 `json:"samples_refused"`
		PerSecond           float64          `json:"acknowledged_per_s"`
		Lag                 latency          `json:"lag"`
		Processes           []struct {
			Name        string  `json:"name"`
			CorePercent float64 `json:"core_percent"`
		} `json:"processes"`
	}
	viewers struct {
		Ticks           int64   `json:"ticks"`
		GapWindows      int64   `json:"gap_windows"`
		MissedWindows   int64   `json:"missed_windows"`
		RepeatedWindows int64   `json:"repeated_windows"`
		Latency         latency `json:"latency"`
	}
}

type latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (m *measured) String() string {
	var cpu []string
	for _, p := range m.agents.Processes {
		cpu = append(cpu, fmt.Sprintf("%s %.0f %%", p.Name, p.CorePercent))
	}
	return fmt.Sprintf("%.0f samples/s stored, lag p50 %.0f p99 %.0f max %.0f ms; tick p50 %.1f p99 %.1f max %.1f ms of %d; of a core: %s",
		m.agents.PerSecond, m.agents.Lag.P50, m.agents.Lag.P99, m.agents.Lag.Max,
		m.viewers.Latency.P50, m.viewers.Latency.P99, m.viewers.Latency.Max, m.viewers.Ticks, strings.Join(cpu, ", "))
}

// check fails the test where something is lost, or a window did not come.
func (m *measured) check(t *testing.T, when string) {
	t.Helper()
	a, v := &m.agents, &m.viewers
	if a.SamplesAcknowledged == 0 || a.SamplesOutstanding > 0 || a.SamplesLost > 0 || len(a.SamplesRefused) > 0 {
		t.Errorf("%s: of the agents' samples %d were acknowledged, %d not, %d lost, and refused %v",
			when, a.SamplesAcknowledged, a.SamplesOutstanding, a.SamplesLost, a.SamplesRefused)
	}
	if v.Ticks == 0 || v.GapWindows > 0 || v.MissedWindows > 0 || v.RepeatedWindows > 0 {
		t.Errorf("%s: viewers had %d ticks, %d windows were lost to gaps, %d missed and %d repeated", when, v.Ticks, v.GapWindows, v.MissedWindows, v.RepeatedWindows)
	}
}

const benchViewers = 20

// load puts agents and a few viewers on the hub.
func (f *fleet) load(plan runawayPlan, lasting time.Duration) *measured {
	f.t.Helper()
	var m measured
	// The rest of what is not acknowledged at the end may need a busy hub.
	agents := f.start("telltale-bench", "agents", "--hub", "ws://"+f.listen, "--json", "--wait", "60s", "--duration", lasting.String(),
		"--agents", strconv.Itoa(plan.agents), "--series", strconv.Itoa(plan.series),
		"--pid", strconv.Itoa(f.hub.pid()), "--pid", strconv.Itoa(engineOf(f.hub)))
	viewers := f.start("telltale-bench", "viewers", "--hub", "http://"+f.listen, "--json", "--password", "a-password-for-tests",
		"--viewers", strconv.Itoa(benchViewers), "--duration", lasting.String())
	f.figuresOf(agents, &m.agents)
	f.figuresOf(viewers, &m.viewers)
	return &m
}

// figuresOf reads the JSON that a program ends with, between what it says for people.
func (f *fleet) figuresOf(p *process, into any) {
	f.t.Helper()
	<-p.ended
	said := p.output.String()
	begin := strings.Index(said, "{\n")
	if begin < 0 {
		f.t.Fatalf("%v gave no figures: %s", p.Args, said)
	}
	if err := json.NewDecoder(strings.NewReader(said[begin:])).Decode(into); err != nil {
		f.t.Fatalf("%v: %v in %s", p.Args, err, said)
	}
}

// rush is analysts who ask too much, until end is called.
type rush struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]int
	wrong    []string
	t        *testing.T
}

// askers is how many of them there are by each way: twice as many as the statements that run at once.
const askers = 8

func (f *fleet) beginRush(plan runawayPlan) *rush {
	f.t.Helper()
	addresses, err := engine.RunningOn(f.data)
	if err != nil || addresses == nil {
		f.t.Fatalf("the engine's addresses: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rush{cancel: cancel, outcomes: map[string]int{}, t: f.t}
	f.t.Cleanup(func() { r.end() })
	for n := range askers {
		token := f.command("token", "create", "--data", f.data, "--scope", "query", fmt.Sprint("asker-", n))
		api := question{url: "http://" + f.listen + "/api/v1/sql?format=csv", token: token}
		direct := question{url: addresses.HTTP + "/?database=telltale&default_format=CSV", user: engine.AnalystUser, password: addresses.AnalystPassword}
		for _, ask := range []question{api, direct} {
			r.running.Go(func() { r.run(ctx, ask, n, plan.statementTime) })
		}
	}
	return r
}

// run asks one statement after the other.
func (r *rush) run(ctx context.Context, ask question, first int, limit time.Duration) {
	for n := first; ctx.Err() == nil; n++ {
		statement := runaways[n%len(runaways)]
		if limit > 0 {
			statement += fmt.Sprintf(" SETTINGS max_execution_time = %d", int(limit.Seconds()))
		}
		outcome := ask.outcome(ctx, statement)
		if ctx.Err() != nil {
			outcome = "left by its asker"
		}
		r.note(n, outcome)
		if strings.Contains(outcome, "busy") {
			time.Sleep(100 * time.Millisecond) // as somebody who tries again by hand, but faster
		}
	}
}

// ends are what may become of a statement that is too dear; each names its limit.
var ends = []string{"left by its asker", "answered", "busy", "time", "memory", "rows", "bytes", "disk"}

func (r *rush) note(statement int, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[outcome]++
	endless := statement%len(runaways) < 2
	if !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(outcome, end) }) || endless && strings.HasSuffix(outcome, "answered") {
		r.wrong = append(r.wrong, runaways[statement%len(runaways)]+": "+outcome)
	}
}

// end returns what became of the statements.
func (r *rush) end() string {
	r.cancel()
	r.running.Wait()
	var lines []string
	for _, outcome := range slices.Sorted(maps.Keys(r.outcomes)) {
		lines = append(lines, fmt.Sprintf("%6d  %s", r.outcomes[outcome], outcome))
	}
	for _, wrong := range r.wrong {
		r.t.Errorf("not ended by a limit that says so: %s", wrong)
	}
	r.wrong = nil
	return strings.Join(lines, "\n")
}
