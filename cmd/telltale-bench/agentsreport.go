package main

import (
	"errors"
	"fmt"
	"time"
)

// agentsReport is the figures of a fleet. Rates, latencies and processes are of the time
// measured; the other counts are of the whole run.
type agentsReport struct {
	Agents          int     `json:"agents"`
	Connected       int     `json:"connected"` // at the end of the time measured
	SeriesPerAgent  int     `json:"series_per_agent"`
	IntervalSeconds float64 `json:"interval_s"`
	MeasuredSeconds float64 `json:"measured_s"`

	Connections int64            `json:"connections"` // ever welcomed; beyond Agents, reconnects
	Disconnects map[string]int64 `json:"disconnects"` // by reason; failed tries too

	BatchesSent         int64            `json:"batches_sent"`
	SamplesSent         int64            `json:"samples_sent"`
	SamplesResent       int64            `json:"samples_resent"` // after a reconnect, for want of an ack
	SamplesAcknowledged int64            `json:"samples_acknowledged"`
	SamplesRefused      map[string]int64 `json:"samples_refused"` // by reason
	SamplesSkipped      int64            `json:"samples_skipped"` // never made, since too many were outstanding
	SamplesOutstanding  int64            `json:"samples_outstanding"`
	SamplesLost         int64            `json:"samples_lost"` // acknowledged, and later unknown to the hub

	AcknowledgedPerSecond float64     `json:"acknowledged_per_s"`
	WireBytesPerSample    float64     `json:"wire_bytes_per_sample"`          // in the time measured: WebSocket framing included
	WireBytesPerSampleAll float64     `json:"wire_bytes_per_sample_all"`      // with handshakes and the series' descriptions
	WireBytesReceived     float64     `json:"wire_bytes_received_per_sample"` // the way back, of the whole run
	Lag                   percentiles `json:"lag"`                            // from a sample's tick to its ack, by batch
	Late                  percentiles `json:"late"`                           // from a tick to its sending: this tool's own delay, within Lag

	Processes []processFigures `json:"processes"`

	lastErr error
}

func (f *fleet) report(present int) *agentsReport {
	c, series := &f.counts, int64(len(f.series))
	elapsed := f.last.at.Sub(f.first.at)
	sent, resent := c.sent.Load(), c.resent.Load()
	r := &agentsReport{
		Agents: len(f.agents), Connected: present, SeriesPerAgent: len(f.series), IntervalSeconds: f.interval.Seconds(),
		MeasuredSeconds: round(elapsed.Seconds(), 3), Connections: c.connections.Load(),
		BatchesSent: sent / series, SamplesSent: sent, SamplesResent: resent,
		SamplesAcknowledged: c.acknowledged.Load(), SamplesSkipped: c.skipped.Load(), SamplesOutstanding: f.outstanding(), SamplesLost: c.lost.Load(),
		WireBytesPerSample:    ratio(f.last.traffic-f.first.traffic, f.last.sent-f.first.sent, 3),
		WireBytesPerSampleAll: ratio(f.traffic.sent.Load(), sent+resent, 3),
		WireBytesReceived:     ratio(f.traffic.received.Load(), sent+resent, 3),
		Lag:                   f.lag.percentiles(), Late: f.late.percentiles(),
		Processes: f.meter.figures(f.last.acknowledged-f.first.acknowledged, elapsed),
	}
	if elapsed > 0 {
		r.AcknowledgedPerSecond = round(float64(f.last.acknowledged-f.first.acknowledged)/elapsed.Seconds(), 1)
	}
	r.SamplesRefused, r.Disconnects, r.lastErr = f.trouble.all()
	return r
}

func (r *agentsReport) table(t *table) {
	t.row("agents connected", fmt.Sprintf("%d of %d", r.Connected, r.Agents))
	t.row("load", fmt.Sprintf("%d series each, every %v", r.SeriesPerAgent, time.Duration(r.IntervalSeconds*float64(time.Second))))
	t.row("measured", fixed(r.MeasuredSeconds, 1)+" s")
	t.row("reconnects", grouped(max(r.Connections-int64(r.Agents), 0)))
	t.counts("disconnects", r.Disconnects)
	t.row("batches sent", grouped(r.BatchesSent))
	t.row("samples sent", grouped(r.SamplesSent), "resent "+grouped(r.SamplesResent))
	t.row("samples acknowledged", grouped(r.SamplesAcknowledged), grouped(int64(r.AcknowledgedPerSecond))+" /s")
	t.counts("samples refused", r.SamplesRefused)
	t.row("samples never acknowledged", grouped(r.SamplesOutstanding))
	t.row("samples acknowledged and lost", grouped(r.SamplesLost))
	t.row("samples skipped", grouped(r.SamplesSkipped))
	t.row("wire bytes per sample", fixed(r.WireBytesPerSample, 2),
		fmt.Sprintf("%s with handshakes and descriptions; %s back", fixed(r.WireBytesPerSampleAll, 2), fixed(r.WireBytesReceived, 2)))
	t.percentiles("lag, tick to ack", r.Lag)
	t.percentiles("of it, tick to sending", r.Late)
	t.processes(r.Processes, "acknowledged sample")
}

func (r *agentsReport) failure() error {
	var errs []error
	complain := func(n int64, format string) {
		if n > 0 {
			errs = append(errs, fmt.Errorf(format, n))
		}
	}
	if r.Connected < r.Agents {
		err := fmt.Errorf("%d of %d agents were connected", r.Connected, r.Agents)
		if r.lastErr != nil {
			err = fmt.Errorf("%w: %w", err, r.lastErr)
		}
		errs = append(errs, err)
	}
	complain(sum(r.SamplesRefused), "%d samples were refused")
	complain(r.SamplesOutstanding, "%d samples were never acknowledged")
	complain(r.SamplesLost, "%d samples were acknowledged and then unknown to the hub")
	complain(r.SamplesSkipped, "%d samples were skipped, because too many waited for an acknowledgement: the hub does not keep up")
	return errors.Join(errs...)
}
