package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"testing"
)

// catalogue answers with what it was asked.
type catalogue struct{}

func (catalogue) Metrics(_ context.Context, contains string, limit int) ([]Metric, error) {
	return []Metric{{Name: contains, Kind: "gauge", Unit: "1", Labels: []string{"agent"}, Series: uint64(limit), New: 1}}, nil
}

func (catalogue) Labels(_ context.Context, metric string, limit int) ([]LabelUse, error) {
	return []LabelUse{{"agent", uint64(limit), 7, metric}}, nil
}

func (catalogue) LabelValues(_ context.Context, label, metric, prefix string, limit int) ([]string, error) {
	values := make([]string, 0, limit)
	for i := range min(limit, 3) {
		values = append(values, fmt.Sprint(label, " ", metric, " ", prefix, i))
	}
	return values, nil
}

func (catalogue) Cardinality(context.Context, int) (Cardinality, error) {
	return Cardinality{Series: 5, ByMetric: []Metric{}}, &LimitError{Code: "busy", Message: "later", Passing: true}
}

func TestCatalogue(t *testing.T) {
	s := open(t, func(_ *Config, p *Parts) { p.Catalogue = catalogue{} })
	c := s.signedIn()
	for path, want := range map[string]string{
		"/api/v1/metrics?search=cpu":                        `{"metrics":[{"metric":"cpu","kind":"gauge","unit":"1","labels":["agent"],"series":1001,"new_series":1}],"more":false}`,
		"/api/v1/labels?metric=cpu":                         `{"labels":[{"label":"agent","values":1001,"series":7,"metric":"cpu"}],"more":false}`,
		"/api/v1/labels/region?metric=cpu&prefix=e&limit=2": `{"more":true,"values":["region cpu e0","region cpu e1"]}`,
		"/api/v1/labels/a%2Fb?limit=3":                      `{"more":false,"values":["a/b  0","a/b  1","a/b  2"]}`,
	} {
		r := c.get(path)
		r.want(http.StatusOK, "")
		if string(r.body) != want {
			t.Errorf("%s:\n got %s\nwant %s", path, r.body, want)
		}
	}
	c.get("/api/v1/metrics?limit=0").want(http.StatusBadRequest, "bad_limit")
	c.get("/api/v1/metrics?limit=10001").want(http.StatusBadRequest, "bad_limit")
	c.get("/api/v1/cardinality").want(http.StatusServiceUnavailable, "busy")
	s.client().get("/api/v1/metrics").want(http.StatusUnauthorized, "unauthorized")
}
