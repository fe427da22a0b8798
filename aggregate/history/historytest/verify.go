// Package historytest checks what a history holds.
package historytest

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Difference is how a tier differs from what raw sums up to.
type Difference struct {
	Tier    string // its table
	Windows uint64 // of a series, or of a distribution's bin, that are missing, wrong or not in raw
	Samples int64  // how many more samples the tier counts than raw
	Example string // one of the windows, as the tier and as raw has it
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %d windows differ, %+d samples, for example %s", d.Tier, d.Windows, d.Samples, d.Example)
}

// VerifyTiers sums up all of raw anew and compares the windows of each tier that end after from and by to. It
// returns the tiers that differ. Samples that are still on their way into a tier differ too, so whoever has just
// stored some asks again. Sums may differ by rounding, all else is exact.
func VerifyTiers(ctx context.Context, conn driver.Conn, from, to time.Time) ([]Difference, error) {
	var different []Difference
	for _, tier := range []struct {
		table string
		step  time.Duration
	}{{"tier_10s", 10 * time.Second}, {"tier_1m", time.Minute}, {"tier_1h", time.Hour}} {
		d := Difference{Tier: tier.table}
		query := fmt.Sprintf(verifySQL, tier.table, int64(tier.step.Seconds()), from.Unix(), to.Unix())
		if err := conn.QueryRow(ctx, query).Scan(&d.Windows, &d.Samples, &d.Example); err != nil {
			return nil, fmt.Errorf("verify %s: %w", tier.table, err)
		}
		if d.Windows > 0 {
			different = append(different, d)
		}
	}
	return different, nil
}

// verifySQL asks for a tier (1) and its step (2) in seconds about windows that end after 3 and by 4.
const verifySQL = `
WITH toDateTime(intDiv(toUnixTimestamp64Milli(ts), %[2]d * 1000) * %[2]d, 'UTC') AS bucket
SELECT count(), toInt64(sum(tier.count)) - toInt64(sum(expected.count)), toString(any((tier.*, expected.*)))
FROM
(
	SELECT series, start, bin, count, sum, min, max, last FROM %[1]s FINAL
	WHERE start + %[2]d > toDateTime(%[3]d) AND start + %[2]d <= toDateTime(%[4]d)
) AS tier
FULL JOIN
(
	SELECT raw.series AS series, bucket AS start, if(known.kind = 'distribution', value, 0) AS bin,
		sum(n) AS count, sum(abs(value)) AS scale,
		if(any(known.kind) = 'distribution', 0, sum(value)) AS sum,
		if(any(known.kind) = 'distribution', 0, min(value)) AS min,
		if(any(known.kind) = 'distribution', 0, max(value)) AS max,
		if(any(known.kind) = 'distribution', 0, argMax(value, (ts, value))) AS last
	FROM raw INNER JOIN (SELECT id, any(kind) AS kind FROM known_series GROUP BY id) AS known ON raw.series = known.id
	WHERE raw.series >= 9223372036854775808 AND bucket + %[2]d > toDateTime(%[3]d) AND bucket + %[2]d <= toDateTime(%[4]d)
	GROUP BY series, start, bin
) AS expected ON tier.series = expected.series AND tier.start = expected.start AND tier.bin = expected.bin
WHERE tier.count != expected.count OR tier.min != expected.min OR tier.max != expected.max OR tier.last != expected.last
	OR abs(tier.sum - expected.sum) > 1e-9 * expected.scale`
