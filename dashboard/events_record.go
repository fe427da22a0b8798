package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"telltale/dashboard/store"
)

// eventTimeout bounds all that recording an event waits for.
const eventTimeout = 10 * time.Second

// sender is who records events: a user or a token. Their names are apart.
type sender struct{ kind, name string }

const senderKey = "sender"

// senderOf returns the sender that requireRecorder found.
func senderOf(c *fiber.Ctx) sender { return c.Locals(senderKey).(sender) }

// requireRecorder lets those pass who may record events: admins and analysts, and programs with an events token.
func (a *App) requireRecorder(c *fiber.Ctx) error {
	if secret, found := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer "); found {
		token, err := a.Store.Tokens.Verify(secret, store.EventsScope)
		if err != nil {
			return refuse(http.StatusUnauthorized, "unauthorized", "unknown token: make one with 'telltale token create --scope events NAME'")
		}
		c.Locals(senderKey, sender{"token", token.Name})
		return c.Next()
	}
	session, err := a.findAnalyst(c, "record events", store.EventsScope)
	if err != nil {
		return err
	}
	c.Locals(senderKey, sender{"user", session.User.Name})
	return c.Next()
}

// eventLog records events: one at a time, since an update is made of what is there.
type eventLog struct {
	events Events
	turn   chan struct{}
	pace   eventPace

	stored, refused prometheus.Counter
}

func newEventLog(events Events) *eventLog {
	return &eventLog{
		events:  events,
		turn:    make(chan struct{}, 1),
		pace:    eventPace{bySender: map[sender]*rate.Limiter{}},
		stored:  prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_dashboard_events_total", Help: "Events recorded, updates included."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_dashboard_events_refused_total", Help: "Events refused because their sender sent too many."}),
	}
}

func (l *eventLog) metrics() []prometheus.Collector {
	return []prometheus.Collector{l.stored, l.refused}
}

// outcome is what recording an event came to.
type outcome int

const (
	created outcome = iota
	updated
	unchanged // it was there, and says the same
)

// record stores an event, or the next version of the one with the draft's key. An *apiError is for the sender.
func (l *eventLog) record(ctx context.Context, from sender, draft eventDraft, now time.Time) (Event, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return Event{}, unchanged, context.Cause(ctx)
	}
	defer func() { <-l.turn }()

	now = now.UTC().Truncate(time.Millisecond)
	before := Event{ID: newEventID(), Start: now, Kind: "note", Author: from.name, Key: draft.key, Recorded: now}
	if draft.key != "" {
		before.ID = from.eventID(draft.key)
		if known, is, err := l.events.Find(ctx, before.ID); err != nil {
			return Event{}, unchanged, fmt.Errorf("find event %s: %w", before.ID, err)
		} else if is {
			before = known
		}
	}
	e, err := draft.applied(before)
	if err != nil {
		return Event{}, unchanged, err
	}
	if before.Version > 0 && sameEvent(e, before) {
		return before, unchanged, nil
	}
	e.Version, e.Updated = before.Version+1, now
	if !e.Updated.After(before.Updated) { // another hub's clock, or this one set back: pages keep the version updated last
		e.Updated = before.Updated.Add(time.Millisecond)
	}
	if err := l.events.Store(ctx, e); err != nil {
		return Event{}, unchanged, fmt.Errorf("store event %s: %w", e.ID, err)
	}
	l.stored.Inc()
	if e.Version > 1 {
		return e, updated, nil
	}
	return e, created, nil
}

// applied returns the event with what the draft says; what that leaves out stays.
func (d eventDraft) applied(e Event) (Event, error) {
	set(&e.Title, d.title)
	set(&e.Text, d.text)
	set(&e.Kind, d.kind)
	set(&e.Start, d.start)
	set(&e.End, d.end)
	if d.tags != nil {
		e.Tags = d.tags
	}
	switch {
	case e.Title == "":
		return e, badEvent("title is missing: say in up to %d characters what happened", maxEventTitle)
	case !e.End.IsZero() && e.End.Before(e.Start):
		return e, badEvent("end is before start, which is %s: give an end that is not, or the start as well", e.Start.Format(time.RFC3339))
	case e.Start.Sub(e.Recorded) > maxEventAhead:
		return e, badEvent("start is more than %d days after this event was first recorded, %s: it is another event, give it another key",
			maxEventAhead/(24*time.Hour), e.Recorded.Format(time.RFC3339))
	case e.End.Sub(e.Start) > maxEventSpan:
		return e, badEvent("end is more than %d days after start: record several events", maxEventSpan/(24*time.Hour))
	}
	return e, nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// sameEvent says whether two versions tell the same.
func sameEvent(x, y Event) bool {
	return x.Start.Equal(y.Start) && x.End.Equal(y.End) && x.Kind == y.Kind && x.Title == y.Title && x.Text == y.Text && maps.Equal(x.Tags, y.Tags)
}

const eventIDBytes = 16

func newEventID() string {
	var id [eventIDBytes]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// eventID is the same for the sender's key on every hub, and nobody else's.
func (s sender) eventID(key string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.kind, s.name, key))
	return hex.EncodeToString(sum[:eventIDBytes])
}

// admit counts an event of a sender, or says when the next is welcome.
func (l *eventLog) admit(c *fiber.Ctx, from sender, now time.Time) error {
	wait := l.pace.take(from, now)
	if wait == 0 {
		return nil
	}
	l.refused.Inc()
	seconds := strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	c.Set(fiber.HeaderRetryAfter, seconds)
	return refuse(http.StatusTooManyRequests, "too_many_events",
		fmt.Sprintf("one sender may record %d events a minute, %d at once: send this one again in %s s", eventsPerMinute, eventBurst, seconds))
}

// refuseEvent makes an error of recording one for the sender, who is told when to try again.
func refuseEvent(c *fiber.Ctx, err error) error {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused
	}
	c.Set(fiber.HeaderRetryAfter, "10")
	var limit *LimitError
	if errors.As(err, &limit) {
		return &apiError{http.StatusServiceUnavailable, limit.Code, limit.Message, err}
	}
	return &apiError{http.StatusServiceUnavailable, "history_unavailable",
		"the event is not known to be stored, since history does not answer: send it again later, with a key, so that it is there once", err}
}
