package history

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"telltale/aggregate"
)

func TestCatalogue(t *testing.T) {
	s := newTestStore(t)
	reader := s.newReader()
	var sources []*aggregate.Series
	add := func(metric string, kind aggregate.Kind, unit, agent string, more ...aggregate.Label) {
		labels := append([]aggregate.Label{{Name: "agent", Value: agent}}, more...)
		sources = append(sources, &aggregate.Series{
			ID: aggregate.NewSeriesID(metric, labels), Metric: metric, Kind: kind, Unit: unit, Labels: labels, Interval: time.Second,
		})
	}
	for i := range 5 {
		add("requests", aggregate.Counter, "1", fmt.Sprint("web-", i%2), aggregate.Label{Name: "path", Value: fmt.Sprint("/", i)})
	}
	add("system.load", aggregate.Gauge, "1", "web-0", aggregate.Label{Name: "region", Value: "eu"})
	add("system.load", aggregate.Gauge, "1", "web-1")
	s.storeSeries(sources...)
	s.exec("INSERT INTO known_series SELECT * REPLACE (now() - INTERVAL 2 DAY AS first_seen) FROM known_series WHERE metric = 'system.load'")

	requests := Metric{"requests", "counter", "1", []string{"agent", "path"}, 5, 5}
	load := Metric{"system.load", "gauge", "1", []string{"agent", "region"}, 2, 0}
	byAgent, byPath, byRegion := LabelUse{"agent", 2, 7, ""}, LabelUse{"path", 5, 5, "requests"}, LabelUse{"region", 1, 1, "system.load"}

	metrics := func(contains string, limit int) []Metric {
		t.Helper()
		m, err := reader.Metrics(t.Context(), contains, limit)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got, want := metrics("", 10), []Metric{requests, load}; !reflect.DeepEqual(got, want) {
		t.Errorf("metrics %+v, want %+v", got, want)
	}
	if got, want := metrics("LOAD", 10), []Metric{load}; !reflect.DeepEqual(got, want) {
		t.Errorf("metrics with LOAD %+v, want %+v", got, want)
	}
	if got := metrics("", 1); len(got) != 1 {
		t.Errorf("%d metrics, want 1", len(got))
	}

	values, err := reader.LabelValues(t.Context(), "path", "requests", "/", 3)
	if want := []string{"/0", "/1", "/2"}; err != nil || !reflect.DeepEqual(values, want) {
		t.Errorf("values %q, want %q (%v)", values, want, err)
	}
	values, err = reader.LabelValues(t.Context(), "agent", "", "web-1", 10)
	if want := []string{"web-1"}; err != nil || !reflect.DeepEqual(values, want) {
		t.Errorf("values %q, want %q (%v)", values, want, err)
	}

	labels, err := reader.Labels(t.Context(), "system.load", 10)
	if want := []LabelUse{{"agent", 2, 2, "system.load"}, byRegion}; err != nil || !reflect.DeepEqual(labels, want) {
		t.Errorf("labels %+v, want %+v (%v)", labels, want, err)
	}

	c, err := reader.Cardinality(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	c.ByLabel[1].Metric = "" // both metrics have both agents
	want := Cardinality{7, 5, 2, 2, []Metric{requests, load}, []LabelUse{byPath, byAgent, byRegion}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("cardinality %+v, want %+v", c, want)
	}
}
