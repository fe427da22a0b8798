package history

import (
	"context"
	"errors"
	"maps"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate/engine/enginetest"
)

// testEvent is a version of an event that begins so many seconds after baseTS.
func testEvent(id string, version uint64, start int64) Event {
	at := time.UnixMilli(baseTS + start*1000).UTC()
	return Event{
		ID: id, Version: version, Start: at, Kind: "deploy", Title: "shop", Text: "line\n'two'", Tags: map[string]string{"b": "2", "a": `"1"`},
		Author: "ci", Key: "key of " + id, Recorded: at, Updated: at.Add(time.Duration(version) * time.Second),
	}
}

func (h *hub) record(events ...Event) {
	h.t.Helper()
	for _, e := range events {
		if err := h.writer.StoreEvent(h.t.Context(), e); err != nil {
			h.t.Fatal(err)
		}
	}
}

func sameVersion(x, y Event) bool {
	return x.ID == y.ID && x.Version == y.Version && x.Start.Equal(y.Start) && x.End.Equal(y.End) && x.Kind == y.Kind && x.Title == y.Title &&
		x.Text == y.Text && maps.Equal(x.Tags, y.Tags) && x.Author == y.Author && x.Key == y.Key && x.Recorded.Equal(y.Recorded) && x.Updated.Equal(y.Updated)
}

func TestEventsAreStoredAndRead(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{})
	reader := s.newReader()
	deploy, incident, moved := testEvent("deploy", 1, 0), testEvent("incident", 2, 10), testEvent("moved", 2, 1000)
	incident.End = incident.Start.Add(5 * time.Minute)
	before, early := testEvent("incident", 1, 10), testEvent("moved", 1, 20)
	early.Tags = nil
	early.Recorded = moved.Recorded
	h.record(deploy, before, early, incident, moved, moved) // storing once more changes nothing

	for _, c := range []struct {
		from, to int64
		limit    int
		want     []Event
	}{
		{-100, 2000, 10, []Event{moved, incident, deploy}},
		{-100, 2000, 2, []Event{moved, incident}},
		{0, 0, 10, []Event{deploy}}, // ends touch
		{1, 9, 10, nil},
		{15, 30, 10, []Event{incident}}, // it lasts, and what has moved is here no more
		{310, 310, 10, []Event{incident}},
		{311, 999, 10, nil},
	} {
		got, err := reader.Events(t.Context(), time.UnixMilli(baseTS+c.from*1000), time.UnixMilli(baseTS+c.to*1000), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(c.want) {
			t.Errorf("%d to %d: %+v, want %+v", c.from, c.to, got, c.want)
			continue
		}
		for i := range got {
			if !sameVersion(got[i], c.want[i]) {
				t.Errorf("%d to %d: %+v, want %+v", c.from, c.to, got[i], c.want[i])
			}
		}
	}
	if e, is, err := reader.Event(t.Context(), "incident"); err != nil || !is || !sameVersion(e, incident) {
		t.Errorf("event %+v, %v, %v", e, is, err)
	}
	if e, is, err := reader.Event(t.Context(), "nobody' OR 1"); err != nil || is {
		t.Errorf("event %+v, %v, %v", e, is, err)
	}
	if n := s.count(`SELECT count() FROM events WHERE id = 'incident' AND ts = fromUnixTimestamp64Milli(?) AND end = ts + INTERVAL 5 MINUTE
		AND kind = 'deploy' AND title = 'shop' AND text = 'line\n\'two\'' AND tags['a'] = '"1"' AND length(tags) = 2 AND author = 'ci'`, incident.Start.UnixMilli()); n != 1 {
		t.Errorf("the view has %d such events, want 1", n)
	}
	if n := s.count("SELECT count() FROM events WHERE end IS NULL"); n != 2 {
		t.Errorf("the view has %d moments, want 2", n)
	}
}

func TestEventsOutliveTheEngine(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{})
	h.record(testEvent("kept", 1, 0))
	engine := enginetest.Engine(t)
	if err := syscall.Kill(engine.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.writer.StoreEvent(ctx, testEvent("lost", 1, 0)); err == nil {
		t.Error("stored without an engine")
	}
	waitFor(t, "the engine", func() bool { return s.conn.Ping(t.Context()) == nil })
	if n := s.count("SELECT count() FROM events"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestEventsAreRefusedWithoutRoom(t *testing.T) {
	s := newTestStore(t)
	h := s.startHub(Config{MinFreeBytes: 1 << 60})
	waitFor(t, "the disk is found full", func() bool { return h.writer.Behind() == BehindDisk })
	if err := h.writer.StoreEvent(t.Context(), testEvent("e", 1, 0)); !errors.Is(err, ErrDiskFull) {
		t.Errorf("error %v", err)
	}
	h.writer.Close()
	if err := h.writer.StoreEvent(t.Context(), testEvent("e", 1, 0)); !errors.Is(err, ErrNotReady) {
		t.Errorf("error %v", err)
	}
	if n := s.count("SELECT count() FROM events"); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

func TestEventsAreDroppedByTheirMonth(t *testing.T) {
	s := newTestStore(t)
	years := 100 * 365 * 24 * time.Hour
	h := s.startHub(Config{Retention: years, Retention10s: years, Retention1m: years, Retention1h: years})
	january, february := testEvent("january", 1, 0), testEvent("february", 1, 0)
	january.Recorded = time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	february.Recorded = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	h.record(january, february)
	kept := h.writer.cfg.kept()
	months := kept[len(kept)-1]
	end := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) // what is recorded in January may begin in February
	for _, step := range []struct {
		limit  time.Time
		events uint64
	}{{end.Add(-time.Second), 2}, {end, 1}, {end, 1}} {
		if err := h.writer.dropBefore(t.Context(), months, step.limit); err != nil {
			t.Fatal(err)
		}
		if n := s.count("SELECT count() FROM events"); n != step.events {
			t.Errorf("%d events once the limit is %v, want %d", n, step.limit, step.events)
		}
	}
}
