package main

import (
	"errors"
	"fmt"
)

// viewersReport is the figures of an audience. Rates, latency and processes are of the time
// measured; the other counts are of the whole run.
type viewersReport struct {
	Viewers         int     `json:"viewers"`
	Connected       int     `json:"connected"` // at the end of the time measured
	Behind          int     `json:"behind"`    // then, more than two windows behind the others
	MeasuredSeconds float64 `json:"measured_s"`

	Connections int64            `json:"connections"` // ever greeted; beyond Viewers, reconnects
	Refused     map[string]int64 `json:"refused"`     // asked to come back later, by reason
	Disconnects map[string]int64 `json:"disconnects"` // by reason; failed tries too

	Ticks           int64 `json:"ticks"`
	Snapshots       int64 `json:"snapshots"`
	Gaps            int64 `json:"gaps"`
	GapWindows      int64 `json:"gap_windows"`      // windows that gaps declare
	MissedWindows   int64 `json:"missed_windows"`   // not delivered, not declared, and delivered to others
	RepeatedWindows int64 `json:"repeated_windows"` // delivered again
	Notices         int64 `json:"notices"`
	Byes            int64 `json:"byes"`

	EventsPerSecond float64     `json:"events_per_s"`
	WireBytes       int64       `json:"wire_bytes"`
	BytesPerEvent   float64     `json:"wire_bytes_per_event"`
	Latency         percentiles `json:"latency"` // from a window's closing to its tick's arrival

	Processes []processFigures `json:"processes"`

	lastErr error
}

func (a *audience) report(present int) *viewersReport {
	c := &a.counts
	elapsed := a.last.at.Sub(a.first.at)
	events, bytes := a.last.events-a.first.events, a.last.bytes-a.first.bytes
	r := &viewersReport{
		Viewers: len(a.viewers), Connected: present, Behind: a.behind, MeasuredSeconds: round(elapsed.Seconds(), 3),
		Connections: c.connections.Load(), Ticks: c.ticks.Load(), Snapshots: c.snapshots.Load(),
		Gaps: c.gaps.Load(), GapWindows: c.gapWindows.Load(), MissedWindows: a.missed(), RepeatedWindows: c.repeated.Load(),
		Notices: c.notices.Load(), Byes: c.byes.Load(),
		WireBytes: bytes, BytesPerEvent: ratio(bytes, events, 1), Latency: a.latency.percentiles(),
		Processes: a.meter.figures(events, elapsed),
	}
	if elapsed > 0 {
		r.EventsPerSecond = round(float64(events)/elapsed.Seconds(), 1)
	}
	r.Refused, r.Disconnects, r.lastErr = a.trouble.all()
	return r
}

func (r *viewersReport) table(t *table) {
	t.row("viewers connected", fmt.Sprintf("%d of %d", r.Connected, r.Viewers))
	t.row("measured", fixed(r.MeasuredSeconds, 1)+" s")
	t.row("reconnects", grouped(max(r.Connections-int64(r.Viewers), 0)))
	t.counts("asked to come back later", r.Refused)
	t.counts("disconnects", r.Disconnects)
	t.row("ticks", grouped(r.Ticks), fixed(r.EventsPerSecond, 1)+" events/s")
	t.row("snapshots", grouped(r.Snapshots))
	t.row("gaps", grouped(r.Gaps), grouped(r.GapWindows)+" windows")
	t.row("windows missed silently", grouped(r.MissedWindows))
	t.row("windows repeated", grouped(r.RepeatedWindows))
	t.row("viewers behind at the end", grouped(int64(r.Behind)))
	t.row("notices, byes", fmt.Sprintf("%d, %d", r.Notices, r.Byes))
	t.row("wire bytes per event", fixed(r.BytesPerEvent, 1), megabytes(r.WireBytes)+" MB in all")
	t.percentiles("latency, window closed to received", r.Latency)
	t.processes(r.Processes, "delivered event")
}

func (r *viewersReport) failure() error {
	var errs []error
	complain := func(n int64, format string) {
		if n > 0 {
			errs = append(errs, fmt.Errorf(format, n))
		}
	}
	if r.Connected < r.Viewers {
		err := fmt.Errorf("%d of %d viewers were connected", r.Connected, r.Viewers)
		if r.lastErr != nil {
			err = fmt.Errorf("%w: %w", err, r.lastErr)
		}
		errs = append(errs, err)
	}
	if r.Connected > 0 && r.Ticks == 0 {
		errs = append(errs, errors.New("no tick arrived"))
	}
	complain(r.MissedWindows, "%d windows were missed without a gap")
	complain(r.RepeatedWindows, "%d windows came twice")
	complain(r.GapWindows, "%d windows were lost to declared gaps")
	complain(int64(r.Behind), "%d viewers were behind at the end")
	return errors.Join(errs...)
}
