package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of an event. Its text is small because every open page gets it, and the streams remember it.
const (
	maxEventTitle = 200  // characters, as all lengths here
	maxEventText  = 2000 //
	maxEventKey   = 200  //
	maxEventTags  = 16
	maxTagName    = 64
	maxTagValue   = 200
	maxEventAhead = 28 * 24 * time.Hour  // of its start; no more, or retention would drop it before its time
	maxEventSpan  = 366 * 24 * time.Hour // from its start to its end
)

// firstEventStart is later than any time in seconds that is taken for milliseconds.
var firstEventStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var (
	eventKind = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	tagName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]*$`)
)

// eventDraft is an event as it was sent. What is nil was left out.
type eventDraft struct {
	title, text, kind *string
	start, end        *time.Time
	tags              map[string]string
	key               string // empty: none
}

// parseEvent reads an event and checks each of its fields by itself. Errors are for the sender.
func parseEvent(body []byte, now time.Time) (eventDraft, error) {
	var sent struct {
		Title, Text, Kind, Key *string
		Start, End             json.RawMessage
		Tags                   map[string]string
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&sent)
	if err == nil && decoder.Decode(new(any)) != io.EOF {
		err = errors.New("there is more than one object")
	}
	if err == nil && !utf8.Valid(body) {
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		return eventDraft{}, refuse(http.StatusBadRequest, "bad_request", `send {"title": "...", "kind": "deploy", "key": "..."}: `+err.Error())
	}
	d := eventDraft{title: trimmed(sent.Title), text: trimmed(sent.Text), kind: sent.Kind, tags: sent.Tags}
	if d.start, err = eventTime("start", sent.Start); err != nil {
		return d, err
	}
	if d.end, err = eventTime("end", sent.End); err != nil {
		return d, err
	}
	if sent.Key != nil {
		if d.key = *sent.Key; !isLine(d.key, 1, maxEventKey) {
			return d, badEvent("key takes 1 to %d characters on one line; leave it out where the event is not to be updated", maxEventKey)
		}
	}
	return d, d.check(now)
}

func (d eventDraft) check(now time.Time) error {
	switch {
	case d.title != nil && !isLine(*d.title, 1, maxEventTitle):
		return badEvent("title takes 1 to %d characters on one line", maxEventTitle)
	case d.text != nil && !isText(*d.text, maxEventText):
		return badEvent("text takes at most %d characters, and no control characters but line breaks and tabs: give a link to what is longer", maxEventText)
	case d.kind != nil && !eventKind.MatchString(*d.kind):
		return badEvent("kind takes 1 to 32 of a-z, 0-9, - and _, a letter first: deploy, incident, note or one of your own")
	case d.start != nil && d.start.Before(firstEventStart):
		return badEvent("start is before the year 2000: give milliseconds since 1970, not seconds, or RFC 3339")
	case d.start != nil && d.start.Sub(now) > maxEventAhead:
		return badEvent("start is more than %d days ahead: record it when it is nearer", maxEventAhead/(24*time.Hour))
	}
	return checkTags(d.tags)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxEventTags {
		return badEvent("there are %d tags, the limit is %d", len(tags), maxEventTags)
	}
	for name, value := range tags {
		if len(name) > maxTagName || !tagName.MatchString(name) {
			return badEvent("tag %.80q: a name takes 1 to %d letters, digits and _ . : / -, a letter or _ first", name, maxTagName)
		}
		if !isLine(value, 0, maxTagValue) {
			return badEvent("tag %s: a value takes at most %d characters on one line", name, maxTagValue)
		}
	}
	return nil
}

func badEvent(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "bad_event", fmt.Sprintf(format, args...))
}

// eventTime reads milliseconds since 1970 or RFC 3339; nil where there is no time.
func eventTime(field string, text json.RawMessage) (*time.Time, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var written string
	if json.Unmarshal(text, &written) == nil {
		if t, err := time.Parse(time.RFC3339, written); err == nil {
			t = t.UTC().Truncate(time.Millisecond)
			return &t, nil
		}
	} else if ms, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		t := time.UnixMilli(ms).UTC()
		return &t, nil
	}
	return nil, badEvent("%s is no time: give milliseconds since 1970 as a number, or RFC 3339 as text, such as \"2026-01-31T12:00:00Z\"", field)
}

func trimmed(text *string) *string {
	if text == nil {
		return nil
	}
	short := strings.TrimSpace(*text)
	return &short
}

// isLine says whether a text has so many characters, and no control characters.
func isLine(text string, least, most int) bool {
	n := utf8.RuneCountInString(text)
	return n >= least && n <= most && !strings.ContainsFunc(text, unicode.IsControl)
}

func isText(text string, most int) bool {
	return isLine(strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(text), 0, most)
}
