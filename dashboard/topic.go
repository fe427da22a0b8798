package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"telltale/aggregate"
	"telltale/stream"
)

// topic is a set of queries that is watched, and the stream on which its ticks go out. Its methods
// are for one goroutine, but for keyframe.
type topic struct {
	watch  *aggregate.Watch
	stream *stream.Topic
	names  []string    // of the queries, sorted
	past   *comparison // nil without any
	last   int64       // the end of the window last published
	failed bool        // the last publication did
	buffer []byte
}

func openTopic(live *aggregate.Live, hub *stream.Hub, now time.Time, d definition) (*topic, error) {
	watch, err := live.WatchOver(now, time.Duration(d.RangeMS)*time.Millisecond, d.Queries)
	if err != nil {
		return nil, err
	}
	t := &topic{watch: watch, names: slices.Sorted(maps.Keys(d.Queries)), past: d.comparison()}
	t.stream = hub.NewTopic(t.keyframe, nil)
	return t, nil
}

// publish sends the windows that have closed since the last call.
func (t *topic) publish() error {
	for _, tick := range t.watch.Ticks() {
		if tick.End <= t.last {
			return fmt.Errorf("window %d closed after window %d: the clock was set back", tick.End, t.last)
		}
		t.last = tick.End
		var data []byte
		if past := t.past.news(); !isEmpty(tick) || len(past.rows) > 0 {
			t.buffer = appendTick(t.buffer[:0], t.names, tick, past)
			data = t.buffer
		}
		if err := t.stream.Publish(tick.End, data); err != nil {
			return err
		}
	}
	return nil
}

// keyframe is the state up to the window that Ticks gave last, from any goroutine.
func (t *topic) keyframe() stream.Keyframe {
	s := t.watch.Snapshot()
	if s.Since > s.End {
		return stream.Keyframe{} // no window has closed yet
	}
	return stream.Keyframe{ID: s.End, Since: s.Since - int64(s.Step), Data: appendSnapshot(nil, t.names, s, t.past.all())}
}
