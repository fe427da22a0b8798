package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale/aggregate"
)

const (
	minute = int64(aggregate.Minute)
	hour   = int64(aggregate.Hour)
	day    = int64(aggregate.Day)
	week   = 7 * 24 * time.Hour
)

var keptAsByDefault = ReaderConfig{KeptRaw: 72 * time.Hour, Kept10s: 2 * week, Kept1m: 13 * week, Kept1h: 104 * week}

func TestCover(t *testing.T) {
	const now = 1000 * day
	states := func(stale10s, stale1m, stale1h []Range) []TierState {
		return []TierState{
			{aggregate.TenSeconds, now - minute + 5000, stale10s},
			{aggregate.Minute, now - minute, stale1m},
			{aggregate.Hour, now - hour, stale1h},
		}
	}
	f := func(name string, config ReaderConfig, states []TierState, step aggregate.Step, from, to int64, want ...string) {
		t.Helper()
		var got []string
		for _, p := range cover(config.tables(), states, step, Range{now + from, now + to}, now) {
			text := p.table.name
			for _, r := range p.ranges {
				text += fmt.Sprintf(" %v..%v", time.Duration(r.From-now)*time.Millisecond, time.Duration(r.To-now)*time.Millisecond)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
	f("only raw has seconds", keptAsByDefault, states(nil, nil, nil), aggregate.Second, -hour, 0, "raw -1h0m0s..0s")
	f("the newest minutes are finer", keptAsByDefault, states(nil, nil, nil), aggregate.Hour, -2*day, hour,
		"raw -1m0s..1h0m0s", "tier_1m -1h0m0s..-1m0s", "tier_1h -48h0m0s..-1h0m0s")
	f("a tier is cut to its own windows", keptAsByDefault, states(nil, nil, nil), aggregate.TenSeconds, -hour, 0,
		"raw -1m0s..0s", "tier_10s -1h0m0s..-1m0s")
	f("what is stale is finer", keptAsByDefault,
		states([]Range{{now - 3*hour, now - 3*hour + 10_000}}, []Range{{now - 3*hour, now - 3*hour + minute}}, []Range{{now - 3*hour, now - 2*hour}}),
		aggregate.Hour, -5*hour, -hour,
		"raw -3h0m0s..-2h59m50s", "tier_10s -2h59m50s..-2h59m0s", "tier_1m -2h59m0s..-2h0m0s", "tier_1h -5h0m0s..-3h0m0s -2h0m0s..-1h0m0s")
	f("no state yet", keptAsByDefault, nil, aggregate.Minute, -5*hour, 0, "raw -5h0m0s..0s")
	f("raw is gone", keptAsByDefault, nil, aggregate.Hour, -4*day, -2*day, "raw -72h0m0s..-48h0m0s", "tier_10s -96h0m0s..-72h0m0s")
	f("all finer ones are gone", keptAsByDefault, states(nil, nil, []Range{{now - 100*day, now - 10*day}}), aggregate.Hour, -100*day, -11*day,
		"tier_1m -2184h0m0s..-264h0m0s", "tier_1h -2400h0m0s..-2184h0m0s")
	f("longer ago than all", keptAsByDefault, states(nil, nil, nil), aggregate.Day, -1000*day, -999*day, "tier_1h -24000h0m0s..-23976h0m0s")
	var scattered []Range
	for i := range int64(20) {
		scattered = append(scattered, Range{now - (100-4*i)*hour, now - (99-4*i)*hour})
	}
	f("many stale windows", keptAsByDefault, states(nil, nil, scattered), aggregate.Hour, -110*hour, -10*hour,
		"tier_1m -100h0m0s..-35h0m0s -32h0m0s..-31h0m0s -28h0m0s..-27h0m0s -24h0m0s..-23h0m0s",
		"tier_1h -110h0m0s..-100h0m0s -35h0m0s..-32h0m0s -31h0m0s..-28h0m0s -27h0m0s..-24h0m0s -23h0m0s..-10h0m0s")
}

// TestCoverIsComplete holds random covers to what every one must be.
func TestCoverIsComplete(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		now := 400*day + rng.Int64N(day)
		tables := pick(rng, keptAsByDefault, ReaderConfig{}).tables()
		states := randomStates(rng, Range{now - 20*day, now}, nil)
		step := pick(rng, aggregate.Steps...)
		from := (now - rng.Int64N(20*day)) / int64(step) * int64(step)
		span := Range{from, from + int64(step)*(1+rng.Int64N(500))}
		var all []Range
		segments := 0
		for _, p := range cover(tables, states, step, span, now) {
			segments += len(p.ranges)
			for _, r := range p.ranges {
				if own := max(1, int64(p.table.step)); r.From%own != 0 || r.To%own != 0 || !p.table.serves(step) {
					t.Fatalf("seed %d: %v of %s for step %v", seed, r, p.table.name, step)
				}
				if len(intersect(all, []Range{r})) > 0 {
					t.Fatalf("seed %d: %v is read twice", seed, r)
				}
				all = append(all, r)
			}
			if unfit := unfit(p.table, states, now); p.table.step > 0 && tables[0].since(now) <= span.From && len(intersect(p.ranges, unfit)) > 0 {
				t.Fatalf("seed %d: %v of %s is read, of which %v is unfit", seed, p.ranges, p.table.name, unfit)
			}
		}
		if whole := union(all); len(whole) != 1 || whole[0] != span || segments > 6*maxHoles {
			t.Fatalf("seed %d: %d segments cover %v, want %v", seed, segments, whole, span)
		}
	}
}

// randomStates are of tiers that have got anywhere within the span, and are stale at least where wrong says.
func randomStates(rng *rand.Rand, span Range, wrong map[aggregate.Step][]Range) []TierState {
	var states []TierState
	for _, step := range []aggregate.Step{aggregate.TenSeconds, aggregate.Minute, aggregate.Hour} {
		state := TierState{Step: step, Through: span.To - rng.Int64N(span.To-span.From+1)/pick[int64](rng, 1, 10, 100)}
		stale := slices.Clone(wrong[step])
		for range rng.IntN(pick(rng, 1, 3, 20)) {
			from := (span.From + rng.Int64N(span.To-span.From)) / int64(step)
			stale = append(stale, Range{from * int64(step), (from + 1 + rng.Int64N(1+(span.To-span.From)/int64(step)/10)) * int64(step)})
		}
		state.Stale = union(stale)
		states = append(states, state)
	}
	return states
}

func TestStepGrows(t *testing.T) {
	const now = 1000*day + 12345
	f := func(config ReaderConfig, asked aggregate.Step, ago int64, want aggregate.Step) {
		t.Helper()
		if got := stepFor(config.tables(), asked, now-ago, now); got != want {
			t.Errorf("%v, %v ago: %v, want %v", asked, time.Duration(ago)*time.Millisecond, got, want)
		}
	}
	f(keptAsByDefault, aggregate.Second, 0, aggregate.Second)
	f(keptAsByDefault, aggregate.Second, -day, aggregate.Second)
	f(keptAsByDefault, aggregate.Second, 3*day, aggregate.Second)
	f(keptAsByDefault, aggregate.Second, 4*day, aggregate.TenSeconds)
	f(keptAsByDefault, aggregate.Second, 15*day, aggregate.Minute)
	f(keptAsByDefault, aggregate.QuarterHour, 15*day, aggregate.QuarterHour)
	f(keptAsByDefault, aggregate.QuarterHour, 92*day, aggregate.Hour)
	f(keptAsByDefault, aggregate.Day, 92*day, aggregate.Day)
	f(keptAsByDefault, aggregate.Second, 999*day, aggregate.Hour) // as far as anything reaches
	f(ReaderConfig{}, aggregate.Second, 999*day, aggregate.Second)
}
