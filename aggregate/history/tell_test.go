package history

import (
	"testing"
	"time"

	"telltale/aggregate"
)

func TestClockOffsetsAreStoredWhereTheyAreNews(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	h.writer.ClockOffset("web-1", time.Second) // nobody knows it yet
	h.admit("web-1")
	h.admit("web-2")
	seq := uint64(0)
	store := func() {
		t.Helper()
		seq++
		if err := h.writer.Take(s.batch("web-1", "e", seq)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the batch is stored", func() bool { return h.ackedSeq("web-1", "e") == seq })
	}
	rows := func() uint64 {
		return s.count("SELECT count() FROM known_agents WHERE agent = 'web-1' AND clock_offset_ms IS NOT NULL")
	}
	h.writer.ClockOffset("web-1", -2500*time.Millisecond)
	store()
	if s.count("SELECT count() FROM agents WHERE agent = 'web-1' AND clock_offset_ms = -2500") != 1 {
		t.Error("the view does not have the offset")
	}
	if s.count("SELECT count() FROM agents WHERE agent = 'web-2' AND clock_offset_ms IS NULL") != 1 {
		t.Error("an agent whose clock nobody measured has an offset")
	}
	h.writer.ClockOffset("web-1", -2450*time.Millisecond)
	store()
	if n := rows(); n != 1 {
		t.Errorf("%d rows: a change of 50 ms is no news", n)
	}
	h.crash()

	// The next hub knows it, and keeps it where the agent says something new of itself.
	h = s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	h.admit("web-1")
	h.writer.ClockOffset("web-1", -2490*time.Millisecond)
	if _, err := h.writer.Admit(t.Context(), "web-1", nil, map[string]string{"os.type": "linux"}); err != nil {
		t.Fatal(err)
	}
	store()
	if s.count("SELECT count() FROM agents WHERE agent = 'web-1' AND clock_offset_ms = -2500 AND attributes['os.type'] = 'linux'") != 1 {
		t.Error("the offset is gone")
	}
	agents, err := s.newReader().Agents(t.Context())
	if err != nil || len(agents) != 2 {
		t.Fatalf("agents %+v, error %v", agents, err)
	}
	if ahead := agents[0].ClockOffset; ahead == nil || *ahead != -2500*time.Millisecond || agents[1].ClockOffset != nil {
		t.Errorf("agents %+v", agents)
	}
}

func TestGapsAreRead(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: 10 * time.Millisecond})
	at := func(second int64) int64 { return 1_763_800_000_000 + second*1000 }
	for i, g := range []aggregate.Gap{
		{Agent: "a", Epoch: "e", Seq: 1, ToSeq: 2, From: at(0), To: at(10), Count: 7, Reason: "spool_full"},
		{Agent: "a", Epoch: "e", Seq: 3, ToSeq: 3, From: at(100), To: at(112), Reason: "unclean_stop"},
		{Agent: "b", Epoch: "e", Seq: 1, ToSeq: 1, From: at(50), To: at(60), Count: 1, Reason: "corrupt"},
	} {
		h.admit(g.Agent)
		if err := h.writer.TakeGap(&g); err != nil {
			t.Fatalf("gap %d: %v", i, err)
		}
	}
	waitFor(t, "the gaps are stored", func() bool { return h.ackedSeq("a", "e") == 3 && h.ackedSeq("b", "e") == 1 })
	reader := s.newReader()
	for _, c := range []struct {
		agent    string
		from, to int64
		want     []string
	}{
		{"", at(-100), at(1000), []string{"unclean_stop", "corrupt", "spool_full"}},
		{"a", at(-100), at(1000), []string{"unclean_stop", "spool_full"}},
		{"a", at(10), at(99), []string{"spool_full"}}, // ends touch
		{"a", at(105), at(106), []string{"unclean_stop"}},
		{"a", at(11), at(99), nil},
		{"nobody' OR 1", at(-100), at(1000), nil},
	} {
		gaps, err := reader.Gaps(t.Context(), c.agent, time.UnixMilli(c.from), time.UnixMilli(c.to))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range gaps {
			got = append(got, g.Reason)
		}
		if len(got) != len(c.want) {
			t.Errorf("%q from %d to %d: %v, want %v", c.agent, c.from, c.to, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q from %d to %d: %v, want %v", c.agent, c.from, c.to, got, c.want)
			}
		}
	}
	gaps, err := reader.Gaps(t.Context(), "a", time.UnixMilli(at(100)), time.UnixMilli(at(100)))
	if err != nil || len(gaps) != 1 {
		t.Fatalf("gaps %+v, error %v", gaps, err)
	}
	if g := gaps[0]; g.Agent != "a" || g.From.UnixMilli() != at(100) || g.To.UnixMilli() != at(112) || g.Count != 0 || time.Since(g.Declared) > time.Hour {
		t.Errorf("gap %+v", g)
	}
}

// Few samples that wait for long are history that is behind, as many samples are.
func TestWaitingForLongIsBehind(t *testing.T) {
	w := &Writer{cfg: Config{}.withDefaults()}
	at := func(ago time.Duration) time.Time { return time.Now().Add(-ago) }
	if w.Behind() != "" || w.Waiting() != 0 {
		t.Error("an empty writer waits")
	}
	w.open = &block{opened: at(behindAfter / 2)}
	if w.Behind() != "" || w.Waiting() < behindAfter/2 {
		t.Errorf("behind %q, waiting %v", w.Behind(), w.Waiting())
	}
	w.sealed = []*block{{opened: at(behindAfter - time.Second)}}
	if w.Behind() != "" {
		t.Error("behind too early")
	}
	w.storing = at(2 * behindAfter)
	if w.Behind() != BehindSlow || w.Waiting() < 2*behindAfter {
		t.Errorf("behind %q, waiting %v", w.Behind(), w.Waiting())
	}
	w.storing, w.sealed = time.Time{}, nil // coming and going would cost more than waiting
	if w.Behind() != BehindSlow {
		t.Error("no longer behind with half of the time still waited")
	}
	w.open = nil
	if w.Behind() != "" {
		t.Error("behind with nothing to store")
	}
	w.unstored = w.cfg.MaxUnstoredBytes/2 + 1
	w.lowDisk = true
	if w.Behind() != BehindDisk {
		t.Errorf("behind %q", w.Behind())
	}
}
