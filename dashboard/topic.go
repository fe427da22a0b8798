package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"telltale/aggregate"
	"telltale/stream"
)

// topic is a set of queries that is watched, and the stream on which its ticks go out. Its methods
// are for one goroutine, but for keyframe and everything.
type topic struct {
	queries  map[string]aggregate.Query
	names    []string // of the queries, sorted
	rangeMS  int64    // how far back viewers look
	watch    *aggregate.Watch
	stream   *stream.Topic
	memory   *memory
	recall   *recall
	compared *comparison          // nil without any
	last     int64                // the end of the window last published
	unsure   atomic.Pointer[span] // windows that are not complete yet
	settled  []int64              // those that are now, which the next tick is to say
	failed   bool                 // the last publication did
	buffer   []byte
}

func (ts *topics) open(now time.Time, d definition) (*topic, error) {
	watch, err := ts.live.WatchOver(now, time.Duration(d.RangeMS)*time.Millisecond, d.Queries)
	if err != nil {
		return nil, err
	}
	t := &topic{
		queries: d.Queries, names: slices.Sorted(maps.Keys(d.Queries)), rangeMS: d.RangeMS,
		watch: watch, memory: ts.memory, compared: d.comparison(), last: watch.Snapshot().End,
	}
	ts.memory.begin(now)
	t.recall = newRecall(t, now)
	t.unsure.Store(new(t.recall.unsure()))
	t.stream = ts.hub.NewTopic(t.keyframe, t.everything)
	t.recall.begin(now)
	// From here on ticks follow each other: whoever has this window gets them without a snapshot.
	return t, t.stream.Publish(t.last, nil)
}

// publish sends the windows that have closed since the last call.
func (t *topic) publish(now time.Time) error {
	t.recall.begin(now)
	unsure := t.look()
	ticks := t.watch.Ticks()
	for i, tick := range ticks {
		if tick.End <= t.last {
			return fmt.Errorf("window %d closed after window %d: the clock was set back", tick.End, t.last)
		}
		t.last = tick.End
		if i == len(ticks)-1 {
			tick.Amended = withSettled(tick.Amended, t.settled, tick.End)
			t.settled = nil
		}
		var data []byte
		if past := t.compared.news(); !isEmpty(tick) || unsure.has(tick.End) || len(past.rows) > 0 {
			t.buffer = appendTick(t.buffer[:0], t.names, tick, past, unsure)
			data = t.buffer
		}
		if err := t.stream.Publish(tick.End, data); err != nil {
			return err
		}
	}
	return nil
}

// look sees which windows are unsure. It comes before Ticks: a snapshot that tells of a tick must
// not mark what that tick settles.
func (t *topic) look() span {
	before, unsure := *t.unsure.Load(), span{}
	if !t.recall.done() {
		unsure = t.recall.unsure()
	} else if before != unsure {
		kept := span{t.last - recalledWindows*int64(t.watch.Step()), t.last}
		t.settled = before.within(kept).ends(t.watch.Step())
	}
	t.unsure.Store(&unsure)
	return unsure
}

// withSettled adds windows that are complete now, whether or not a value has changed since, to a tick's amendments.
func withSettled(amended []aggregate.Amendment, settled []int64, before int64) []aggregate.Amendment {
	for _, end := range settled {
		at, found := slices.BinarySearchFunc(amended, end, func(a aggregate.Amendment, end int64) int { return cmp.Compare(a.End, end) })
		if !found && end < before {
			amended = slices.Insert(amended, at, aggregate.Amendment{End: end})
		}
	}
	return amended
}

// keyframe is the state up to the window that Ticks gave last, from any goroutine. The first waits
// for what history knows of the windows before.
func (t *topic) keyframe(ctx context.Context) stream.Keyframe {
	select {
	case <-t.recall.asked:
	case <-ctx.Done():
	}
	return t.frame(t.watch.Snapshot())
}

// everything is the same with all that viewers look at, from any goroutine.
func (t *topic) everything(ctx context.Context) stream.Keyframe {
	s := t.watch.Snapshot()
	answer, err := t.memory.ask(ctx, t.queries, span{s.End - t.rangeMS, s.End}, s.Step)
	if err != nil {
		return stream.Keyframe{}
	}
	return t.frame(join(answer, t.watch.Snapshot()))
}

func (t *topic) frame(s aggregate.Snapshot) stream.Keyframe {
	if s.Since > s.End {
		return stream.Keyframe{} // no window has closed yet
	}
	return stream.Keyframe{ID: s.End, Since: s.Since - int64(s.Step), Data: appendSnapshot(nil, t.names, s, t.compared.all(), *t.unsure.Load())}
}
