package dashboard

import (
	"encoding/json"
	"math"
	"strconv"

	"telltale/aggregate"
)

// The stream's frames and history's answers are long lists of numbers, made every second for every
// topic, and encoding/json knows no missing value. These functions append JSON to a buffer.

// appendNumber writes the shortest text that reads back as the same number; what is missing, or
// is no finite number, is null.
func appendNumber(b []byte, v float64) []byte {
	if !isFinite(v) {
		return append(b, "null"...)
	}
	format := byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, 64)
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func appendNumbers(b []byte, values []float64) []byte {
	return appendList(b, values, appendNumber)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func appendList[T any](b []byte, items []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, item)
	}
	return append(b, ']')
}

// appendFields writes an object of the fields that are there, in the order of the names.
func appendFields[T any](b []byte, names []string, fields map[string]T, one func([]byte, T) []byte) []byte {
	b = append(b, '{')
	first := true
	for _, name := range names {
		field, there := fields[name]
		if !there {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = one(append(appendText(b, name), ':'), field)
	}
	return append(b, '}')
}

func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			escaped, _ := json.Marshal(text) // a string cannot fail
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendGroup writes a group's labels. The group of all that are not among the top has none.
func appendGroup(b []byte, g aggregate.Group) []byte {
	b = append(b, '{')
	for i, label := range g.Labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, label.Name), ':'), label.Value)
	}
	return append(b, '}')
}

func appendGroups(b []byte, groups []aggregate.Group) []byte {
	return appendList(b, groups, appendGroup)
}

func appendColumns(b []byte, c aggregate.Columns) []byte {
	b = appendGroups(append(b, `{"groups":`...), c.Groups)
	b = appendList(append(b, `,"values":`...), c.Values, appendNumbers)
	return append(b, '}')
}
