package history

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale/aggregate"
)

func TestPoisonIsSetAsideAndBlocksNobody(t *testing.T) {
	s := newTestStore(t)
	if err := s.conn.Exec(t.Context(), "ALTER TABLE raw ADD CONSTRAINT edible CHECK value NOT IN (7, 11, 12)"); err != nil {
		t.Fatal(err)
	}
	h := s.startHub(Config{BlockInterval: 20 * time.Millisecond})
	for _, agent := range []string{"web-1", "web-2"} {
		h.admit(agent)
	}
	h.push("web-1", "e1", 1, 20)
	h.push("web-2", "e1", 1, 6)
	waitFor(t, "both agents", func() bool { return h.ackedSeq("web-1", "e1") == 20 && h.ackedSeq("web-2", "e1") == 6 })
	s.assertExactlyOnce("web-2", "e1", 6)
	if n := s.count("SELECT count() FROM samples WHERE agent = 'web-1'"); n != 17 {
		t.Fatalf("%d samples are stored, want the 17 that ClickHouse can take", n)
	}
	h.mu.Lock()
	setAside := slices.Clone(h.setAside)
	h.mu.Unlock()
	if !slices.Equal(setAside, []uint64{7, 11, 12}) {
		t.Fatalf("set aside: %v, want 7, 11 and 12", setAside)
	}
	files, err := filepath.Glob(filepath.Join(s.quarantine, "*.jsonl"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the quarantine holds %v (%v), want three files", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(text), `"agent":"web-1"`) || !strings.Contains(string(text), `"value":`) {
		t.Fatalf("a quarantined batch is %s (%v)", text, err)
	}

	h.push("web-1", "e1", 21, 25) // life goes on, also after a restart
	waitFor(t, "what comes after", func() bool { return h.ackedSeq("web-1", "e1") == 25 })
	h.crash()
	if got := s.startHub(Config{}).admit("web-1")["e1"]; got != 25 {
		t.Fatalf("the next hub knows of seq %d, want 25", got)
	}
}

func TestADeclaredGapIsStoredInItsPlace(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{BlockInterval: 5 * time.Millisecond})
	h.admit("web-1")
	h.push("web-1", "e1", 1, 3)
	gap := &aggregate.Gap{Agent: "web-1", Epoch: "e1", Seq: 4, ToSeq: 9, From: baseTS + 4000, To: baseTS + 9000, Count: 60, Reason: "spool_full"}
	if err := h.writer.TakeGap(gap); err != nil {
		t.Fatal(err)
	}
	h.push("web-1", "e1", 10, 12)
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 12 })
	if n := s.count("SELECT count() FROM samples WHERE agent = 'web-1'"); n != 6 {
		t.Fatalf("%d samples, want 6", n)
	}
	if n := s.count("SELECT count() FROM gaps WHERE agent = 'web-1' AND count = 60 AND reason = 'spool_full' AND toUnixTimestamp64Milli(start) = ?", int64(baseTS+4000)); n != 1 {
		t.Fatalf("%d gaps, want 1", n)
	}
	h.crash()
	if got := s.startHub(Config{}).admit("web-1")["e1"]; got != 12 {
		t.Fatalf("the next hub knows of seq %d, want 12", got)
	}
}

func TestRetentionDropsTheOldestDayOnly(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{Retention: 100 * 365 * 24 * time.Hour}) // its own rounds find nothing to do
	for _, day := range []string{"2026-01-01", "2026-01-02", "2026-01-03"} {
		if err := s.conn.Exec(t.Context(), "INSERT INTO raw SELECT toDate(?), toUInt64(bitShiftLeft(1::UInt64, 63)), now64(3), 1, 1", day); err != nil {
			t.Fatal(err)
		}
	}
	limit := time.Date(2026, 1, 3, 23, 0, 0, 0, time.UTC)
	raw := h.writer.cfg.kept()[0]
	for want := uint64(2); ; want = 1 {
		if err := h.writer.dropBefore(t.Context(), raw, limit); err != nil {
			t.Fatal(err)
		}
		if n := s.count("SELECT uniqExact(day) FROM raw"); n != want {
			t.Fatalf("%d days are left, want %d", n, want)
		}
		if want == 1 {
			break
		}
	}
	if err := h.writer.dropBefore(t.Context(), raw, limit); err != nil {
		t.Fatal(err)
	}
	if n := s.count("SELECT count() FROM raw WHERE day = '2026-01-03'"); n != 1 {
		t.Fatal("a day within retention was dropped")
	}
}

func TestRetentionDropsPartitionsThatArePast(t *testing.T) {
	s := newTestStore(t)
	years := 100 * 365 * 24 * time.Hour
	h := s.startHub(Config{Retention: years, Retention10s: years, Retention1m: years, Retention1h: years})
	kept := h.writer.cfg.kept()
	for i, last := range []string{"2026-01-05", "2026-01-11", "2026-01-31"} { // the last day of each first partition
		k := kept[i+1]
		insert := "INSERT INTO " + k.table + " (series, start, count) SELECT 1, arrayJoin([toDateTime(?, 'UTC'), toDateTime(?, 'UTC') + INTERVAL 1 DAY]), 1"
		if err := s.conn.Exec(t.Context(), insert, last+" 23:00:00", last+" 23:00:00"); err != nil {
			t.Fatal(err)
		}
		end, err := time.Parse(time.DateOnly, last)
		if err != nil {
			t.Fatal(err)
		}
		end = end.AddDate(0, 0, 1)
		for _, step := range []struct {
			limit time.Time
			rows  uint64
		}{{end.Add(-time.Second), 2}, {end, 1}, {end, 1}} {
			if err := h.writer.dropBefore(t.Context(), k, step.limit); err != nil {
				t.Fatal(err)
			}
			if n := s.count("SELECT count() FROM " + k.table); n != step.rows {
				t.Errorf("%s has %d rows once the limit is %v, want %d", k.table, n, step.limit, step.rows)
			}
		}
	}
}
