package main

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"telltale/ingest/wire"
)

// sequence is a Collector that knows what it has said: every value follows from the number of its
// tick. The time of a tick is in the file of its record, which a kill does not undo, before the
// samples are handed over: what an agent has produced is known whatever becomes of its spool.
type sequence struct {
	record *os.File
	series []wire.Series
	ticks  int64
	last   int64 // milliseconds since the Unix epoch, of the last tick
}

// recordName is the file of ticks: their times, 8 bytes each, in milliseconds since the Unix epoch.
const recordName = "produced"

// openSequence goes on where the record in the directory ends.
func openSequence(dir string, lanes int) (*sequence, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	before, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	record, err := os.OpenFile(filepath.Join(dir, recordName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s := &sequence{record: record, series: sequenceSeries(lanes), ticks: int64(len(before))}
	if len(before) > 0 {
		s.last = before[len(before)-1]
	}
	return s, nil
}

// readRecord returns the times of the ticks of the agent in the directory; none where it has not begun.
func readRecord(dir string) ([]int64, error) {
	raw, err := os.ReadFile(filepath.Join(dir, recordName))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ticks := make([]int64, len(raw)/8)
	for i := range ticks {
		ticks[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return ticks, nil
}

// Collect never names a time twice, so that a tick is known by its time.
func (s *sequence) Collect(now time.Time, dst []wire.Sample) []wire.Sample {
	s.last = max(now.UnixMilli(), s.last+1)
	if _, err := s.record.Write(binary.LittleEndian.AppendUint64(nil, uint64(s.last))); err != nil {
		panic(err) // without the record nothing is proven
	}
	s.ticks++
	return appendTick(dst, s.series, s.ticks-1, s.last)
}

// Close leaves the record open: the collector goes on after a change of the interval.
func (s *sequence) Close(context.Context) error { return nil }

// The series of a sequence: a counter, a distribution, and as many gauges as it has lanes. The
// counter has the name of one that the dashboard of all hosts shows.
const (
	sequenceCounter = "system.network.io"
	sequenceLatency = "sequence.latency"
	sequenceLevel   = "sequence.level"
	sequenceMetrics = "'" + sequenceCounter + "', '" + sequenceLatency + "', '" + sequenceLevel + "'"
)

func sequenceSeries(lanes int) []wire.Series {
	series := []wire.Series{
		{Metric: sequenceCounter, Kind: wire.Counter, Unit: "By"},
		{Metric: sequenceLatency, Kind: wire.Distribution, Unit: "s"},
	}
	for lane := range lanes {
		series = append(series, wire.Series{Metric: sequenceLevel, Unit: "1", Labels: []wire.Label{{Name: "lane", Value: strconv.Itoa(lane)}}})
	}
	return series
}

// appendTick appends the samples of a tick: whoever knows its number and time knows them all.
func appendTick(dst []wire.Sample, series []wire.Series, tick, ts int64) []wire.Sample {
	for i := range series {
		sample := wire.Sample{Series: &series[i], TS: ts}
		switch series[i].Kind {
		case wire.Distribution:
			few := wire.Bin{Key: wire.BinKey(1) + int32(tick%1000), Count: 1 + uint32(tick%7)}
			sample.Bins = []wire.Bin{few, {Key: few.Key + 1 + int32(tick%3), Count: 3}}
		case wire.Counter:
			sample.Value = 1 + float64(tick)
		default:
			sample.Value = float64(tick*int64(len(series)) + int64(i))
		}
		dst = append(dst, sample)
	}
	return dst
}
