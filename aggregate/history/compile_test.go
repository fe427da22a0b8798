package history

import (
	"math/rand/v2"
	"strings"
	"testing"

	"telltale/aggregate"
)

// TestInputIsNeverText holds that queries differ in their parameters only, unless they differ in shape.
func TestInputIsNeverText(t *testing.T) {
	const hostile = "x' OR 1 = 1 --`\\"
	tables := ReaderConfig{}.tables()
	parts := []part{{tables[0], []Range{{1, 2}}}, {tables[2], []Range{{0, 1}, {2, 3}}}}
	others := []part{{tables[0], []Range{{70, 80}}}, {tables[2], []Range{{-1, 9000}, {10_000, 20_000}}}}
	for seed := range uint64(300) {
		w := &world{seed: seed}
		plain, other := w.randomQuery(rand.New(rand.NewPCG(seed, 4))), w.randomQuery(rand.New(rand.NewPCG(seed, 4)))
		other.Metric = hostile
		for i := range other.Where {
			if other.Where[i].Label != aggregate.AgentLabel {
				other.Where[i].Label = hostile
			}
			other.Where[i].Value = hostile
		}
		for i, label := range other.By {
			if label != aggregate.AgentLabel {
				other.By = append([]string{}, other.By...)
				other.By[i] = hostile
			}
		}
		for _, hold := range []int64{0, 3} {
			a := compile(reading{query: plain, windows: windows{step: aggregate.Second, first: 1, last: 2}}, parts, hold, 10)
			b := compile(reading{query: other, windows: windows{step: aggregate.Hour, first: 7, last: 900}}, others, hold, 20)
			if a.text != b.text {
				t.Fatalf("seed %d: the texts differ:\n%s\n%s", seed, a.text, b.text)
			}
		}
		a, b := compileLookup(plain), compileLookup(other)
		if a.text != b.text || strings.Contains(a.text, plain.Metric) {
			t.Fatalf("seed %d: input is in the text:\n%s\n%s", seed, a.text, b.text)
		}
	}
}
