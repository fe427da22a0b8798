package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"testing"
)

// everyType has rows of all types that the views have, with values that formats get wrong.
const everyType = `SELECT * FROM (
	SELECT 0 AS n, toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC') AS at, toLowCardinality('idle') AS state,
		map('region', 'eu', 'a', '1') AS labels, CAST(NULL, 'Nullable(String)') AS note,
		toUInt64(18446744073709551615) AS big, toInt64(-9223372036854775808) AS signed, CAST(nan, 'Float64') AS value, 'it\'s "quoted", with commas' AS text
	UNION ALL SELECT 1, toDateTime64('1970-01-01 00:00:00.001', 3, 'UTC'), toLowCardinality('user'),
		CAST(map(), 'Map(String, String)'), '', toUInt64(9007199254740993), toInt64(9007199254740993), inf, 'two\nlines\r\nand a\ttab'
	UNION ALL SELECT 2, toDateTime64('2105-12-31 23:59:59.999', 3, 'UTC'), toLowCardinality(''),
		map('k', 'v,="{}\'\\ \n', 'ř', '🚢'), 'null', toUInt64(0), toInt64(-1), -inf, 'žluťoučký kůň 🚢 \\N \\ "" \''
	UNION ALL SELECT 3, toDateTime64('2026-01-02 03:04:05.000', 3, 'UTC'), toLowCardinality('idle'),
		map('', ''), 'note', toUInt64(4294967296), toInt64(0), 0.1, ''
	UNION ALL SELECT 4, toDateTime64('2026-01-02 03:04:05.010', 3, 'UTC'), toLowCardinality('idle'),
		map('a', 'b'), NULL, toUInt64(1), toInt64(1), -1.7976931348623157e308, 'NaN'
) ORDER BY n`

func everyTypeRows() []map[string]any {
	bits := func(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }
	row := func(n, at, state, labels string, note any, big, signed, value, text string) map[string]any {
		return map[string]any{"n": n, "at": at, "state": state, "labels": labels, "note": note, "big": big, "signed": signed, "value": value, "text": text}
	}
	return []map[string]any{
		row("0", "2026-01-02T03:04:05.678Z", "idle", `{"a":"1","region":"eu"}`, nil,
			"18446744073709551615", "-9223372036854775808", "nan", `it's "quoted", with commas`),
		row("1", "1970-01-01T00:00:00.001Z", "user", `{}`, "", "9007199254740993", "9007199254740993", bits(math.Inf(1)), "two\nlines\r\nand a\ttab"),
		row("2", "2105-12-31T23:59:59.999Z", "", `{"k":"v,=\"{}'\\ \n","ř":"🚢"}`, "null", "0", "-1", bits(math.Inf(-1)), `žluťoučký kůň 🚢 \N \ "" '`),
		row("3", "2026-01-02T03:04:05.000Z", "idle", `{"":""}`, "note", "4294967296", "0", bits(0.1), ""),
		row("4", "2026-01-02T03:04:05.010Z", "idle", `{"a":"b"}`, nil, "1", "1", bits(-math.MaxFloat64), "NaN"),
	}
}

// Results in every format are read by programs that know nothing of ClickHouse, and hold what they should, exactly.
func TestEveryFormatIsRead(t *testing.T) {
	in := install(t)
	in.startHub()
	token := in.command("token", "create", "--data", in.data, "--scope", "query", "reader")
	for format, reader := range map[string][]string{
		"csv": {"python3", "readers/read.py"}, "json": {"python3", "readers/read.py"}, "ndjson": {"python3", "readers/read.py"},
		"parquet": {"node", "readers/read.mjs"}, "arrow": {"node", "readers/read.mjs"},
	} {
		answer, err := question{url: "http://" + in.listen + "/api/v1/sql?format=" + format, token: token}.send(t.Context(), everyType)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if closeErr := answer.Body.Close(); err != nil || closeErr != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %.500s (%v, %v)", format, answer.Status, body, err, closeErr)
		}
		want := everyTypeRows()
		if format == "json" || format == "ndjson" { // JSON has no numbers for these
			want[0]["value"], want[1]["value"], want[2]["value"] = nil, nil, nil
		}
		compareRows(t, format, readRows(t, append(reader, format), body), want)
	}
}

// readRows has a program read a result.
func readRows(t *testing.T, reader []string, body []byte) (rows []map[string]any) {
	t.Helper()
	command := exec.CommandContext(t.Context(), reader[0], reader[1:]...)
	var failure bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(body), &failure
	out, err := command.Output()
	if err == nil {
		err = json.Unmarshal(out, &rows)
	}
	if err != nil {
		t.Errorf("%q (npm ci --prefix cmd/telltale/readers): %v; it said %s and printed %.500s", reader, err, &failure, out)
	}
	return rows
}

func compareRows(t *testing.T, format string, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", format, len(got), len(want))
		return
	}
	for i, row := range want {
		if len(got[i]) != len(row) {
			t.Errorf("%s, row %d: %d columns, want %d", format, i, len(got[i]), len(row))
		}
		for name, value := range row {
			if got[i][name] != value {
				t.Errorf("%s, row %d: %s is %q, want %q", format, i, name, got[i][name], value)
			}
		}
	}
}
