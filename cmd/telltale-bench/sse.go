package main

import (
	"bytes"
	"strconv"
	"time"
)

// event is one block of an event stream. Its memory is the reader's.
type event struct {
	name    []byte // empty: a block without an event, such as a heartbeat
	data    []byte // the beginning of its first line
	id      int64  // 0: none
	retry   time.Duration
	comment []byte
}

// keptBytes is how much of a line is kept: enough for the small events and for the
// beginning of a large one, which is all that is looked at.
const keptBytes = 512

// eventReader cuts a stream into events, whatever pieces it arrives in.
type eventReader struct {
	line  []byte // so far, at most keptBytes of it
	event event
}

// feed reads a piece of the stream and calls emit for each event that ends in it.
func (r *eventReader) feed(piece []byte, emit func(*event)) {
	for len(piece) > 0 {
		end := bytes.IndexByte(piece, '\n')
		part := piece
		if end >= 0 {
			part = piece[:end]
		}
		r.line = append(r.line, part[:min(len(part), keptBytes-len(r.line))]...)
		if end < 0 {
			return
		}
		piece = piece[end+1:]
		if line := bytes.TrimSuffix(r.line, []byte{'\r'}); len(line) > 0 {
			r.field(line)
		} else {
			emit(&r.event)
			r.event = event{name: r.event.name[:0], data: r.event.data[:0], comment: r.event.comment[:0]}
		}
		r.line = r.line[:0]
	}
}

func (r *eventReader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "event":
		r.event.name = append(r.event.name[:0], value...)
	case "data":
		if len(r.event.data) == 0 {
			r.event.data = append(r.event.data, value...)
		}
	case "id":
		r.event.id = parseNumber(value)
	case "retry":
		r.event.retry = time.Duration(parseNumber(value)) * time.Millisecond
	case "":
		r.event.comment = append(r.event.comment[:0], value...)
	}
}

// parseNumber returns 0 for what is not a number of at most 15 digits, as times in
// milliseconds are.
func parseNumber(text []byte) int64 {
	if len(text) > 15 {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// numberIn returns the number that follows "name": in the beginning of a JSON object.
func numberIn(data []byte, name string) int64 {
	_, rest, found := bytes.Cut(data, []byte(`"`+name+`":`))
	if !found {
		return 0
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	return parseNumber(rest[:digits])
}
