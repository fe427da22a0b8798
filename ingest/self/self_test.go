package self

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"telltale/ingest"
	"telltale/ingest/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is a sink that remembers, a door and a storage that say what the test sets.
type hub struct {
	series   []wire.Series // id is the index + 1
	refuse   string        // series of this metric are refused
	notReady bool
	full     bool
	taken    []*ingest.Batch
	gaps     []ingest.Gap
	live     []*ingest.Batch

	totals  ingest.Totals
	lags    []wire.Bin
	agents  []ingest.AgentStatus
	storage Storage
}

func (h *hub) Series(s wire.Series) (uint64, error) {
	if s.Metric == h.refuse {
		return 0, wire.SeriesLimit
	}
	for i, known := range h.series {
		if known.Metric == s.Metric && slices.Equal(known.Labels, s.Labels) {
			return uint64(i + 1), nil
		}
	}
	h.series = append(h.series, s)
	return uint64(len(h.series)), nil
}

func (h *hub) Admit(_ context.Context, a wire.Agent) (map[string]uint64, error) {
	if h.notReady {
		return nil, errors.New("not ready")
	}
	return nil, nil
}

func (h *hub) Take(b *ingest.Batch) error {
	if h.full {
		return ingest.ErrFull
	}
	h.taken = append(h.taken, b)
	return nil
}

func (h *hub) TakeGap(g *ingest.Gap) error {
	if h.full {
		return ingest.ErrFull
	}
	h.gaps = append(h.gaps, *g)
	return nil
}

func (h *hub) Live(b *ingest.Batch)         { h.live = append(h.live, b) }
func (h *hub) Totals() ingest.Totals        { return h.totals }
func (h *hub) TakeLags() []wire.Bin         { return h.lags }
func (h *hub) Agents() []ingest.AgentStatus { return h.agents }

func (h *hub) agent() *Agent {
	return New(Parts{Sink: h, Door: h, Storage: func() Storage { return h.storage }, Log: slog.New(slog.DiscardHandler)})
}

// rows returns a batch's samples by what their series is called: metric{label=value ...}.
func (h *hub) rows(b *ingest.Batch) map[string]float64 {
	rows := make(map[string]float64)
	for i, id := range b.Series {
		s := h.series[id-1]
		var labels []string
		for _, l := range s.Labels[1:] {
			labels = append(labels, l.Name+"="+l.Value)
		}
		name := s.Metric
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, " ") + "}"
		}
		rows[name] += b.Value[i] * float64(b.N[i])
	}
	return rows
}

func (h *hub) want(t *testing.T, b *ingest.Batch, want map[string]float64) {
	t.Helper()
	rows := h.rows(b)
	for name, value := range want {
		if got, there := rows[name]; !there || got != value {
			t.Errorf("%s is %v (there: %t), want %v", name, got, there, value)
		}
	}
}

func tallied(id string, t ingest.Tally) ingest.AgentStatus {
	return ingest.AgentStatus{ID: id, Tally: t}
}

func TestTheCountsBecomeSamples(t *testing.T) {
	h := &hub{totals: ingest.Totals{
		Received: 10, Stored: 7, Refused: map[string]uint64{"too_old": 1, "too_new": 0}, Gaps: map[string]uint64{"spool_full": 1},
		GapSamples: map[string]uint64{"spool_full": 40}, Connected: 2, InFlight: 3,
	}}
	h.lags = []wire.Bin{{Key: wire.BinKey(0), Count: 5}, {Key: wire.BinKey(2), Count: 3}}
	h.storage = Storage{UnstoredBytes: 4096, Waiting: 1500 * time.Millisecond}
	h.agents = []ingest.AgentStatus{
		tallied("web-1", ingest.Tally{Received: 6, Stored: 4, Refused: map[wire.Reason]uint64{wire.TooOld: 1}, Lag: 2 * time.Second}),
		{ID: "web-2", ClockTold: true, ClockOffset: -3 * time.Second, RoundTrip: 1, InFlight: 3, Tally: ingest.Tally{Received: 4}},
	}
	a := h.agent()
	now := time.UnixMilli(1_763_800_000_850)
	a.tick(t.Context(), now)
	h.want(t, h.taken[0], map[string]float64{
		"telltale.ingest.samples.received": 10, "telltale.ingest.samples.stored": 7, "telltale.ingest.samples.duplicate": 0,
		"telltale.ingest.samples.refused{reason=too_old}": 1, "telltale.ingest.samples.refused{reason=too_new}": 0,
		"telltale.gaps.declared{reason=spool_full}": 1, "telltale.gaps.samples{reason=spool_full}": 40,
		"telltale.ingest.in_flight": 3, "telltale.agents.connected": 2,
		"telltale.ingest.lag":       3 * wire.BinValue(wire.BinKey(2)),
		"telltale.history.unstored": 4096, "telltale.history.waiting": 1.5,
		"telltale.history.behind{reason=slow}": 0, "telltale.history.behind{reason=disk_full}": 0,
		"telltale.ingest.agent.received{source=web-1}": 6, "telltale.ingest.agent.stored{source=web-1}": 4,
		"telltale.ingest.agent.lag{source=web-1}":                    2,
		"telltale.ingest.agent.refused{reason=too_old source=web-1}": 1,
		"telltale.ingest.agent.in_flight{source=web-2}":              3, "telltale.ingest.agent.clock_offset{source=web-2}": -3,
	})
	if _, there := h.rows(h.taken[0])["telltale.ingest.agent.duplicate{source=web-1}"]; there {
		t.Error("an agent without duplicates has a sample of none")
	}

	// The next tick has increases, and single agents only every tenth.
	h.totals.Received, h.totals.Refused = 25, map[string]uint64{"too_old": 4, "too_new": 0}
	h.agents[0].Received = 16
	h.storage.Behind = "slow"
	a.tick(t.Context(), now.Add(time.Second))
	second := h.live[1]
	h.want(t, second, map[string]float64{
		"telltale.ingest.samples.received": 15, "telltale.ingest.samples.refused{reason=too_old}": 3, "telltale.history.behind{reason=slow}": 1,
	})
	if _, there := h.rows(second)["telltale.ingest.agent.received{source=web-1}"]; there {
		t.Error("single agents have samples in every tick")
	}
	for i := 2; i <= 10; i++ {
		a.tick(t.Context(), now.Add(time.Duration(i)*time.Second))
	}
	h.want(t, h.live[10], map[string]float64{"telltale.ingest.agent.received{source=web-1}": 10, "telltale.ingest.agent.received{source=web-2}": 0})

	// An agent that the door forgot and counts anew does not go backwards.
	h.agents[0].Received = 2
	for i := 11; i <= 20; i++ {
		a.tick(t.Context(), now.Add(time.Duration(i)*time.Second))
	}
	h.want(t, h.live[20], map[string]float64{"telltale.ingest.agent.received{source=web-1}": 2})

	for _, s := range h.series {
		if s.Labels[0] != (wire.Label{Name: wire.AgentLabel, Value: ID}) || s.Interval <= 0 ||
			!slices.IsSortedFunc(s.Labels, func(x, y wire.Label) int { return strings.Compare(x.Name, y.Name) }) {
			t.Errorf("series %+v: want the hub as its agent, sorted labels and an interval", s)
		}
	}
}

func TestWhatCannotBeStoredIsHeldAndSentInOrder(t *testing.T) {
	h := &hub{notReady: true}
	a := h.agent()
	now := time.UnixMilli(1_763_800_000_850)
	tick := func() { now = now.Add(time.Second); a.tick(t.Context(), now) }
	tick() // nobody is admitted yet
	h.notReady, h.storage.Behind = false, "slow"
	tick()
	h.storage.Behind, h.full = "", true
	tick()
	if len(h.taken) != 0 || len(h.live) != 3 {
		t.Fatalf("%d batches taken, %d shown, want none and 3", len(h.taken), len(h.live))
	}
	h.full = false
	tick()
	var seqs []uint64
	for _, b := range h.taken {
		seqs = append(seqs, b.Seq)
	}
	if !slices.Equal(seqs, []uint64{1, 2, 3, 4}) || a.queue.rows != 0 {
		t.Errorf("taken %v, %d rows held, want 1 to 4 and none", seqs, a.queue.rows)
	}
	h.storage.Behind, h.storage.Others = "slow", true // a shard is away, and not the one that the hub is on
	tick()
	if len(h.taken) != 5 {
		t.Errorf("%d batches taken while others' are not, want 5", len(h.taken))
	}
}

func TestAtTheBoundTheOldestIsDroppedAndDeclared(t *testing.T) {
	h := &hub{full: true}
	a := h.agent()
	batch := func(ts int64) *ingest.Batch {
		const rows = maxHeldRows / 4
		b := &ingest.Batch{Agent: ID, Epoch: a.queue.epoch, Series: make([]uint64, rows), TS: make([]int64, rows)}
		for i := range b.TS {
			b.TS[i] = ts
		}
		return b
	}
	for i := range int64(6) {
		a.queue.add(batch(1000 * (i + 1)))
	}
	if len(a.queue.held) != 4 || a.queue.rows > maxHeldRows || a.queue.dropped != maxHeldRows/2 {
		t.Fatalf("%d batches of %d rows held, %d dropped", len(a.queue.held), a.queue.rows, a.queue.dropped)
	}
	a.queue.deliver(h)
	h.full = false
	a.queue.deliver(h)
	want := ingest.Gap{Agent: ID, Epoch: a.queue.epoch, Seq: 1, ToSeq: 2, From: 1000, To: 2000, Count: maxHeldRows / 2, Reason: "spool_full"}
	if len(h.gaps) != 1 || h.gaps[0] != want || len(h.taken) != 4 || h.taken[0].Seq != 3 {
		t.Errorf("declared %+v and took %d batches, want %+v and 4", h.gaps, len(h.taken), want)
	}
}

func TestASeriesThatIsRefusedLeavesTheOthers(t *testing.T) {
	h := &hub{refuse: "telltale.ingest.in_flight"}
	h.agent().tick(t.Context(), time.UnixMilli(1))
	rows := h.rows(h.taken[0])
	if _, there := rows["telltale.agents.connected"]; !there || len(rows) < 5 {
		t.Errorf("rows %v", rows)
	}
}

// A tick each second, late in it; a last one at the end; and no two samples of one time.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{}
		a := h.agent()
		go a.Run(t.Context())
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(h.taken) != 3 {
			t.Errorf("%d batches in three seconds", len(h.taken))
		}
		for i, b := range h.taken {
			if b.TS[0]%1000 != phase.Milliseconds() || i > 0 && b.TS[0]-h.taken[i-1].TS[0] != 1000 {
				t.Errorf("batch %d is of %d", i, b.TS[0])
			}
		}
		h.totals.Received = 9
		a.Close()
		a.Close()
		h.want(t, h.taken[3], map[string]float64{"telltale.ingest.samples.received": 9})
	})
	h := &hub{}
	a := h.agent()
	a.tick(t.Context(), time.UnixMilli(5000))
	a.tick(t.Context(), time.UnixMilli(4000))
	if got := fmt.Sprint(h.taken[0].TS[0], h.taken[1].TS[0]); got != "5000 5001" {
		t.Errorf("a clock set back makes samples of %s", got)
	}
}
