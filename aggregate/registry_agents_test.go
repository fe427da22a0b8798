package aggregate

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestLargestAgents(t *testing.T) {
	r := NewRegistry(Limits{Own: "hub"})
	for agent, series := range map[string]int{"few": 1, "many": 5, "some": 3, "alike": 3, "hub": 9} {
		for i := range series {
			if _, err := r.Intern(Series{Metric: fmt.Sprint("m", i), Interval: time.Second, Labels: []Label{{AgentLabel, agent}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []AgentSeries{{"many", 5}, {"alike", 3}, {"some", 3}, {"few", 1}}
	for n := range 6 {
		if got := r.Largest(n); !slices.Equal(got, want[:min(n, 4)]) {
			t.Errorf("the largest %d are %v", n, got)
		}
	}
	if got := r.Limits(); got.SeriesPerAgent != DefaultLimits().SeriesPerAgent || got.Own != "hub" {
		t.Errorf("limits %+v", got)
	}
}
