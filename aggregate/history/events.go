package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column/orderedmap"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Event is what a person or a program says has happened: a deploy, an incident.
type Event struct {
	ID      string
	Version uint64 // counts up from 1; the greatest of an id is the event
	Start   time.Time
	End     time.Time // zero: it is a moment
	Kind    string
	Title   string
	Text    string
	Tags    map[string]string
	Author  string // the name of a user or of a token
	Key     string // by which its author updates it; may be empty

	Recorded time.Time // of version 1, and the same in all others
	Updated  time.Time // of this version
}

// ErrDiskFull says that ClickHouse's disk has less room than it should.
var ErrDiskFull = errors.New("the disk of ClickHouse is nearly full")

const (
	eventsTable  = "recorded_events"
	eventColumns = "id, version, start, end, kind, title, text, tags, author, key, recorded, updated"
)

// StoreEvent stores a version of an event, which is on disk when it returns nil. After an error other than ErrNotReady and
// ErrDiskFull it may be stored or not; storing it once more changes nothing.
func (w *Writer) StoreEvent(ctx context.Context, e Event) error {
	if err := w.takesEvents(); err != nil {
		return err
	}
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO "+eventsTable+" ("+eventColumns+")")
	if err != nil {
		return fmt.Errorf("prepare event %s: %w", e.ID, err)
	}
	var end *time.Time
	if !e.End.IsZero() {
		end = &e.End
	}
	// Maps compare in the order of their keys in SQL, so equal ones are written alike.
	err = batch.Append(e.ID, e.Version, e.Start, end, e.Kind, e.Title, e.Text, orderedmap.FromMap(e.Tags), e.Author, e.Key, e.Recorded, e.Updated)
	if err != nil {
		return errors.Join(fmt.Errorf("prepare event %s: %w", e.ID, err), batch.Abort())
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert event %s: %w", e.ID, err)
	}
	return w.syncTable(ctx, eventsTable)
}

func (w *Writer) takesEvents() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.ready || w.closing:
		return ErrNotReady
	case w.lowDisk:
		return ErrDiskFull
	}
	return nil
}

// Events returns the events that touch a range of time, both ends included: the ones that began last first, at most limit.
func (r *Reader) Events(ctx context.Context, from, to time.Time, limit int) ([]Event, error) {
	var s statement
	s.text = "SELECT " + eventColumns + " FROM " + eventsTable + " FINAL WHERE start <= fromUnixTimestamp64Milli(" +
		s.bind("to", "Int64", to.UnixMilli()) + ") AND ifNull(end, start) >= fromUnixTimestamp64Milli(" + s.bind("from", "Int64", from.UnixMilli()) +
		") ORDER BY start DESC, id LIMIT " + s.bind("limit", "UInt64", limit)
	return r.events(ctx, s)
}

// Event returns the newest version of an event, and whether there is one.
func (r *Reader) Event(ctx context.Context, id string) (Event, bool, error) {
	var s statement
	s.text = "SELECT " + eventColumns + " FROM " + eventsTable + " WHERE id = " + s.bind("id", "String", id) + " ORDER BY version DESC LIMIT 1"
	found, err := r.events(ctx, s)
	if err != nil || len(found) == 0 {
		return Event{}, false, err
	}
	return found[0], true, nil
}

func (r *Reader) events(ctx context.Context, s statement) ([]Event, error) {
	var events []Event
	err := r.list(ctx, s, func(rows driver.Rows) error {
		var e Event
		var end *time.Time
		err := rows.Scan(&e.ID, &e.Version, &e.Start, &end, &e.Kind, &e.Title, &e.Text, &e.Tags, &e.Author, &e.Key, &e.Recorded, &e.Updated)
		if end != nil {
			e.End = *end
		}
		events = append(events, e)
		return err
	})
	return events, err
}

// StoreEvent is Writer.StoreEvent. Events belong to no agent: the first shard has them all.
func (s *Shards) StoreEvent(ctx context.Context, e Event) error {
	writers := s.Each()
	if len(writers) == 0 {
		return ErrNotReady
	}
	return writers[0].StoreEvent(ctx, e)
}
