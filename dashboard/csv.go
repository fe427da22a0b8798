package dashboard

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"telltale/aggregate"
)

// appendCSV writes an answer of history as a table (RFC 4180): a row for each window, its end first, and a column
// for each group of each query. What is missing is empty.
func appendCSV(b []byte, answer HistoryAnswer) []byte {
	b = append(b, "ts"...)
	var columns [][]float64
	for _, name := range slices.Sorted(maps.Keys(answer.Results)) {
		result := answer.Results[name]
		for _, g := range result.Groups {
			b = appendCell(append(b, ','), columnName(name, g))
		}
		columns = append(columns, result.Values...)
	}
	b = append(b, "\r\n"...)
	for row, end := range answer.Ends {
		b = appendInt(b, end)
		for _, column := range columns {
			b = append(b, ',')
			if isFinite(column[row]) {
				b = appendNumber(b, column[row])
			}
		}
		b = append(b, "\r\n"...)
	}
	return b
}

// columnName is the query's name, and the group's labels as in cpu{agent=web-1,mode=user}. A value that could be mistaken
// for more than one is quoted.
func columnName(query string, g aggregate.Group) string {
	if g.Other {
		return query + "{...}"
	}
	if len(g.Labels) == 0 {
		return query
	}
	labels := make([]string, len(g.Labels))
	for i, label := range g.Labels {
		value := label.Value
		if strings.ContainsAny(value, `,={}"`) || value == "..." {
			value = strconv.Quote(value)
		}
		labels[i] = label.Name + "=" + value
	}
	return query + "{" + strings.Join(labels, ",") + "}"
}

// appendCell writes a text, in quotes where its characters call for them. A text that a spreadsheet would take for a formula
// begins with an apostrophe, which it shows nobody.
func appendCell(b []byte, text string) []byte {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		text = "'" + text
	}
	if !strings.ContainsAny(text, ",\"\r\n") {
		return append(b, text...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(text, `"`, `""`)...)
	return append(b, '"')
}
