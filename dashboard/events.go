package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Events keeps what people and programs say has happened. Its methods are called from many goroutines and end with their context.
type Events interface {
	// Between returns the events that touch a range of time, both ends included: the ones that began last first, at most limit.
	Between(ctx context.Context, from, to time.Time, limit int) ([]Event, error)

	// Find returns the newest version of an event, and whether there is one.
	Find(ctx context.Context, id string) (Event, bool, error)

	// Store stores a version of an event, which lasts when it returns nil. After an error it may be stored or not.
	Store(ctx context.Context, e Event) error
}

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

// last is the event's last moment.
func (e Event) last() time.Time {
	if e.End.IsZero() {
		return e.Start
	}
	return e.End
}

// annotation is an event as it is answered and streamed. Times are milliseconds.
type annotation struct {
	ID       string            `json:"id"`
	Start    int64             `json:"start"`
	End      *int64            `json:"end"` // null: it is a moment
	Kind     string            `json:"kind"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	Tags     map[string]string `json:"tags"`
	Author   string            `json:"author"`
	Key      string            `json:"key,omitempty"`
	Recorded int64             `json:"recorded"`
	Updated  int64             `json:"updated"`
}

func (e Event) annotation() annotation {
	a := annotation{
		ID: e.ID, Start: e.Start.UnixMilli(), Kind: e.Kind, Title: e.Title, Text: e.Text, Tags: e.Tags,
		Author: e.Author, Key: e.Key, Recorded: e.Recorded.UnixMilli(), Updated: e.Updated.UnixMilli(),
	}
	if a.Tags == nil {
		a.Tags = map[string]string{}
	}
	if !e.End.IsZero() {
		end := e.End.UnixMilli()
		a.End = &end
	}
	return a
}

// recordEvent keeps what has happened, and shows it to whoever watches a dashboard.
func (a *App) recordEvent(c *fiber.Ctx) error {
	from, now := senderOf(c), a.now()
	draft, err := parseEvent(c.BodyRaw(), now)
	if err != nil {
		return err
	}
	if err := a.eventLog.admit(c, from, now); err != nil {
		return err
	}
	e, outcome, err := a.eventLog.record(c.UserContext(), from, draft, now)
	if err != nil {
		return refuseEvent(c, err)
	}
	data, err := json.Marshal(e.annotation())
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if outcome != unchanged {
		// In this order a page that opens now has the event from its list, if not from its stream.
		a.eventList.forget()
		a.topics.tell("annotation", data)
		a.log.Info("event", "id", e.ID, "version", e.Version, "author", e.Author, "kind", e.Kind, "title", e.Title)
	}
	if outcome == created {
		c.Status(http.StatusCreated)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(data)
}

const (
	maxEvents       = 1000 // of one answer
	eventsByDefault = 100
)

// events lists what happened within a range of time; what began last comes first.
func (a *App) events(c *fiber.Ctx) error {
	now := a.now()
	asked, err := askedRange(c, now)
	if err != nil {
		return err
	}
	limit, err := parseLimit(c, eventsByDefault, maxEvents)
	if err != nil {
		return err
	}
	found, err := a.findEvents(c.UserContext(), asked, now, limit+1)
	if err != nil {
		return historyError(err)
	}
	events := make([]annotation, min(limit, len(found)))
	for i := range events {
		events[i] = found[i].annotation()
	}
	return c.JSON(fiber.Map{"events": events, "more": len(found) > limit})
}

// findEvents answers what every page asks, of the last day, from memory, unless that had more events than are remembered.
func (a *App) findEvents(ctx context.Context, asked timeRange, now time.Time, limit int) ([]Event, error) {
	if asked.late {
		all, err := a.eventList.get(ctx, func(ctx context.Context) ([]Event, error) {
			return a.Events.Between(ctx, now.Add(-listedBack), now.Add(maxEventAhead), maxEvents)
		})
		if err != nil || len(all) < maxEvents {
			within := slices.DeleteFunc(slices.Clone(all), func(e Event) bool {
				return e.Start.After(asked.to) || e.last().Before(asked.from)
			})
			return within[:min(limit, len(within))], err
		}
	}
	return a.Events.Between(ctx, asked.from, asked.to, limit)
}
