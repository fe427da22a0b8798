//go:build prove

package main

import "testing"

// TestProveBackup copies ten million samples and compares them row for row.
func TestProveBackup(t *testing.T) {
	in := install(t)
	hub := in.startHub()
	in.asWriter(`INSERT INTO known_series (metric, agent, id, kind, unit, labels, interval_ms, first_seen)
		SELECT 'made', toString(number), 9223372036854775808 + number, 'gauge', '1', map(), 1000, now() FROM numbers(1000)`)
	in.asWriter(`INSERT INTO raw (day, series, ts, value, n)
		SELECT today(), 9223372036854775808 + number % 1000, now64(3) - toIntervalMillisecond(intDiv(number, 1000) * 1000), round(rand() / 1e7, 2), 1
		FROM numbers(10000000)`)
	in.backUpAndRestore(hub)
}
