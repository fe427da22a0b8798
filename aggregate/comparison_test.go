package aggregate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func compareIn(t testing.TB, shift Shift, zone string) Comparison {
	t.Helper()
	c, err := NewComparison(string(shift), zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Times are written with their offsets, so that a case says which of two equal clock times is meant.
func TestBefore(t *testing.T) {
	f := func(zone string, shift Shift, now, want string) {
		t.Helper()
		at, err := time.Parse("2006-01-02 15:04:05 -0700", now)
		if err != nil {
			t.Fatal(err)
		}
		c := compareIn(t, shift, zone)
		got := time.UnixMilli(c.Before(at.UnixMilli())).In(c.Zone).Format("2006-01-02 15:04:05 -0700")
		if got != want {
			t.Errorf("%s before %s in %s is %s, want %s", shift, now, zone, got, want)
		}
	}
	f("", DayBefore, "2026-01-01 00:00:00 +0000", "2025-12-31 00:00:00 +0000")
	f("UTC", WeekBefore, "2026-03-03 12:34:56 +0000", "2026-02-24 12:34:56 +0000")

	// Europe/Berlin sprang forward on 2026-03-29: after 01:59:59 +0100 came 03:00:00 +0200.
	f("Europe/Berlin", DayBefore, "2026-03-29 12:00:00 +0200", "2026-03-28 12:00:00 +0100") // 23 hours
	f("Europe/Berlin", DayBefore, "2026-03-29 01:59:59 +0100", "2026-03-28 01:59:59 +0100")
	f("Europe/Berlin", DayBefore, "2026-03-29 03:00:00 +0200", "2026-03-28 03:00:00 +0100")
	f("Europe/Berlin", DayBefore, "2026-03-30 01:59:59 +0200", "2026-03-29 01:59:59 +0100")
	f("Europe/Berlin", DayBefore, "2026-03-30 02:00:00 +0200", "2026-03-29 03:00:00 +0200") // skipped
	f("Europe/Berlin", DayBefore, "2026-03-30 02:30:00 +0200", "2026-03-29 03:30:00 +0200") // skipped
	f("Europe/Berlin", DayBefore, "2026-03-30 03:00:00 +0200", "2026-03-29 03:00:00 +0200")
	f("Europe/Berlin", WeekBefore, "2026-04-05 02:30:00 +0200", "2026-03-29 03:30:00 +0200")
	f("Europe/Berlin", WeekBefore, "2026-04-01 09:00:00 +0200", "2026-03-25 09:00:00 +0100")
	f("Europe/Berlin", MonthBefore, "2026-04-29 02:30:00 +0200", "2026-03-29 03:30:00 +0200")

	// It fell back on 2026-10-25: after 02:59:59 +0200 came 02:00:00 +0100.
	f("Europe/Berlin", DayBefore, "2026-10-25 12:00:00 +0100", "2026-10-24 12:00:00 +0200") // 25 hours
	f("Europe/Berlin", DayBefore, "2026-10-25 02:30:00 +0200", "2026-10-24 02:30:00 +0200") // the first and the second
	f("Europe/Berlin", DayBefore, "2026-10-25 02:30:00 +0100", "2026-10-24 02:30:00 +0200") // are compared with the same
	f("Europe/Berlin", DayBefore, "2026-10-26 02:30:00 +0100", "2026-10-25 02:30:00 +0100") // of two, that with the same offset
	f("Europe/Berlin", MonthBefore, "2026-11-25 02:30:00 +0100", "2026-10-25 02:30:00 +0100")
	f("America/Sao_Paulo", DayBefore, "2019-02-17 23:30:00 -0300", "2019-02-16 23:30:00 -0300") // fell back at midnight
	f("America/Sao_Paulo", DayBefore, "2018-11-05 00:30:00 -0200", "2018-11-04 01:30:00 -0200") // sprang forward at midnight

	f("Europe/Moscow", WeekBefore, "2014-11-02 01:30:00 +0300", "2014-10-26 01:30:00 +0300")
	f("Australia/Lord_Howe", DayBefore, "2026-10-05 02:15:00 +1100", "2026-10-04 02:45:00 +1100") // half an hour was skipped
	f("Pacific/Apia", DayBefore, "2011-12-31 12:00:00 +1400", "2011-12-31 12:00:00 +1400")        // December 30 was skipped, all of it
	f("Pacific/Apia", WeekBefore, "2012-01-03 12:00:00 +1400", "2011-12-27 12:00:00 -1000")

	// Ends of months, and leap days.
	f("", MonthBefore, "2026-03-31 08:00:00 +0000", "2026-02-28 08:00:00 +0000")
	f("", MonthBefore, "2026-03-29 08:00:00 +0000", "2026-02-28 08:00:00 +0000")
	f("", MonthBefore, "2028-03-31 08:00:00 +0000", "2028-02-29 08:00:00 +0000")
	f("", MonthBefore, "2028-02-29 08:00:00 +0000", "2028-01-29 08:00:00 +0000")
	f("", MonthBefore, "2026-01-31 08:00:00 +0000", "2025-12-31 08:00:00 +0000")
	f("", MonthBefore, "2026-07-31 08:00:00 +0000", "2026-06-30 08:00:00 +0000")
	f("", DayBefore, "2028-03-01 08:00:00 +0000", "2028-02-29 08:00:00 +0000")
	f("Europe/Berlin", MonthBefore, "2026-03-31 00:30:00 +0200", "2026-02-28 00:30:00 +0100") // in UTC it is March 30

	// The day is the place's, not that of UTC.
	f("Asia/Kolkata", MonthBefore, "2026-03-31 04:00:00 +0530", "2026-02-28 04:00:00 +0530")
	f("Pacific/Kiritimati", DayBefore, "2026-01-01 01:00:00 +1400", "2025-12-31 01:00:00 +1400")
}

// Walks through three years in awkward zones: the clock shows the same then, unless it skipped that, which is rare.
func TestBeforeShowsTheSameClock(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"} {
		for _, shift := range shifts {
			c := compareIn(t, shift, zone)
			skipped := 0
			const step = 15 * 60_000
			for ts := int64(1_735_689_600_000); ts < 1_830_297_600_000; ts += step {
				now, then := time.UnixMilli(ts).In(c.Zone), time.UnixMilli(c.Before(ts)).In(c.Zone)
				if now.Format("15:04:05") != then.Format("15:04:05") {
					skipped++
				}
				if age := now.Sub(then); shift == DayBefore && (age < 22*time.Hour || age > 26*time.Hour) {
					t.Fatalf("%v: %v is compared with %v", c, now, then)
				}
			}
			// Three springs, or six where clocks change for Ramadan too: four quarters of an hour each, and a month before
			// March 29 to 31 is February 28 three times.
			if skipped > 6*4*4 {
				t.Errorf("%v: %d times are compared with another clock time", c, skipped)
			}
		}
	}
}

func TestComparedWindows(t *testing.T) {
	utc := func(text string) int64 {
		at, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return at.UnixMilli()
	}
	f := func(zone string, shift Shift, step Step, ends, want []string) {
		t.Helper()
		var from, to []int64
		for i := range ends {
			from, to = append(from, utc(ends[i])), append(to, utc(want[i]))
		}
		if got := compareIn(t, shift, zone).Windows(step, from); !slices.Equal(got, to) {
			t.Errorf("%s in %s of %v: %v, want %v", shift, zone, ends, got, to)
		}
	}
	// Today so far and yesterday until now, across the change of clocks: 23 hours apart, and each window a whole one.
	f("Europe/Berlin", DayBefore, Hour,
		[]string{"2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"},
		[]string{"2026-03-28 00:00", "2026-03-28 02:00", "2026-03-28 03:00"})
	// Days of UTC end at another local time than the days before the change did; the nearest one is the right one.
	f("Europe/Berlin", DayBefore, Day, []string{"2026-03-30 00:00", "2026-10-26 00:00"}, []string{"2026-03-29 00:00", "2026-10-25 00:00"})
	f("America/New_York", DayBefore, Day, []string{"2026-03-09 00:00", "2026-11-02 00:00"}, []string{"2026-03-08 00:00", "2026-11-01 00:00"})
	f("Europe/Berlin", DayBefore, SixHours, []string{"2026-03-29 12:00"}, []string{"2026-03-28 12:00"})
	// Half an hour is as far from one as from the other: the earlier.
	f("Australia/Lord_Howe", DayBefore, Hour, []string{"2026-10-04 00:00"}, []string{"2026-10-03 00:00"})
	f("", MonthBefore, Day, []string{"2026-03-29 00:00", "2026-03-31 00:00"}, []string{"2026-02-28 00:00", "2026-02-28 00:00"})
	f("", DayBefore, Day, []string{"1970-01-02 00:00", "1970-01-01 00:00"}, []string{"1970-01-01 00:00", "1970-01-01 00:00"})
}

func TestComparisonMistakes(t *testing.T) {
	f := func(shift, zone, key string) {
		t.Helper()
		var wrong *QueryError
		if _, err := NewComparison(shift, zone); !errors.As(err, &wrong) || wrong.Key != key {
			t.Errorf("%q in %q: %v, want an error at %s", shift, zone, err, key)
		}
	}
	f("", "", "compare")
	f("1h", "", "compare")
	f("1m", "", "compare") // a minute, nearly a month
	f("2d", "", "compare")
	f("1d", "Local", "timezone")
	f("1d", "Europe/Atlantis", "timezone")
	f("1d", "../../etc/passwd", "timezone")
	f("1d", strings.Repeat("x", 100), "timezone")
}

func TestSteady(t *testing.T) {
	queries := map[string]Query{
		"rate":  {Metric: "m", Over: Rate, Agg: AggSum},
		"last":  {Metric: "m", Over: Last, Agg: AggMax},
		"most":  {Metric: "m", Over: Max, Agg: AggMax},
		"total": {Metric: "m", Over: Increase, Agg: AggSum},
		"bins":  {Metric: "m", Agg: AggP99},
		"share": {Expr: "rate / last"},
		"mixed": {Expr: "total / last"},
	}
	for name, want := range map[string]bool{"rate": true, "last": true, "most": false, "total": false, "bins": false, "share": true, "mixed": false} {
		if got := queries[name].Steady(queries); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzBefore(f *testing.F) {
	f.Add(int64(1_774_746_000_000), "Europe/Berlin", uint8(0))
	f.Add(int64(0), "Pacific/Apia", uint8(2))
	f.Fuzz(func(t *testing.T, ts int64, zone string, n uint8) {
		c, err := NewComparison(string(shifts[int(n)%len(shifts)]), zone)
		if err != nil {
			return
		}
		ts %= 4_102_444_800_000
		if age := ts - c.Before(ts); age < -24*3600_000 || age > 33*24*3600_000 {
			t.Errorf("%v before %d is %d ms away", c, ts, age)
		}
	})
}
