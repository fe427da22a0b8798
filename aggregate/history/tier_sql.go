package history

import (
	"fmt"
	"strings"
	"time"
)

// repairSettings keep a statement small beside the inserts of raw: one thread, and, since rows come
// in the order of their series, sums of one series at a time.
const repairSettings = ` SETTINGS max_threads = 1, max_insert_threads = 1, optimize_aggregation_in_order = 1,
	do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 268435456`

// recomputeSQL is the statement that computes windows of a tier from its source; series narrows it
// down where there are any. Repeating it changes nothing: raw only grows, and the greatest count stays.
func recomputeSQL(t *tier, r Range, series []uint64) string {
	only := ""
	if len(series) > 0 {
		only = " AND series IN (" + join(series) + ")"
	}
	insert := "INSERT INTO " + t.table + " (series, start, bin, count, sum, min, max, last) "
	if t.source == rawTable {
		return insert + fromRawSQL(t.step, r, only) + repairSettings
	}
	return insert + fromTierSQL(t, r, only) + repairSettings
}

// fromRawSQL sums up raw. Rows of a window are inserted on its day, a minute of clock skew before, or later.
func fromRawSQL(step int64, r Range, only string) string {
	return fmt.Sprintf(`WITH series IN (SELECT id FROM known_series WHERE kind = 'distribution') AS is_bin
		SELECT series, toDateTime(intDiv(toUnixTimestamp64Milli(ts), %[1]d) * %[2]d, 'UTC') AS bucket, if(is_bin, value, 0) AS bin,
			sum(n), if(is_bin, 0, sum(value)), if(is_bin, 0, min(value)), if(is_bin, 0, max(value)), if(is_bin, 0, argMax(value, (ts, value)))
		FROM raw
		WHERE series >= 9223372036854775808%[5]s AND day >= '%[6]s'
			AND ts >= fromUnixTimestamp64Milli(%[3]d) AND ts < fromUnixTimestamp64Milli(%[4]d)
		GROUP BY series, bucket, bin`,
		step, step/1000, r.From, r.To, only, time.UnixMilli(r.From-aheadMS).UTC().Format(time.DateOnly))
}

// fromTierSQL sums up a finer tier.
func fromTierSQL(t *tier, r Range, only string) string {
	return fmt.Sprintf(`SELECT series, toDateTime(intDiv(toUnixTimestamp(start), %[2]d) * %[2]d, 'UTC') AS bucket,
			bin, sum(count), sum(sum), min(min), max(max), argMax(last, start)
		FROM %[1]s FINAL
		WHERE start >= toDateTime(%[3]d) AND start < toDateTime(%[4]d)%[5]s
		GROUP BY series, bucket, bin`,
		t.source, t.step/1000, r.From/1000, r.To/1000, only)
}

func join(ids []uint64) string {
	var text strings.Builder
	for i, id := range ids {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprint(&text, id)
	}
	return text.String()
}
