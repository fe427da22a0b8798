package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"
)

// Catalogue is what there is in history. Its methods are called from many goroutines; a *LimitError says what the
// asker must change or wait for. A metric of "" stands for all.
type Catalogue interface {
	// Metrics returns those whose name contains a text, by name.
	Metrics(ctx context.Context, contains string, limit int) ([]Metric, error)
	// Labels returns those that the metric's series have, the ones with most values first.
	Labels(ctx context.Context, metric string, limit int) ([]LabelUse, error)
	// LabelValues returns a label's values that begin with a prefix, sorted.
	LabelValues(ctx context.Context, label, metric, prefix string, limit int) ([]string, error)
	// Cardinality returns what there is most of.
	Cardinality(ctx context.Context, limit int) (Cardinality, error)
}

// Metric is a metric of the catalogue.
type Metric struct {
	Name   string   `json:"metric"`
	Kind   string   `json:"kind"`
	Unit   string   `json:"unit"`
	Labels []string `json:"labels"`
	Series uint64   `json:"series"`
	New    uint64   `json:"new_series"` // first seen within a day
}

// LabelUse is a label of the catalogue.
type LabelUse struct {
	Label  string `json:"label"`
	Values uint64 `json:"values"` // distinct ones
	Series uint64 `json:"series"` // that have it
	Metric string `json:"metric"` // the one with most series that have it
}

// Cardinality is what there is most of.
type Cardinality struct {
	Series   uint64     `json:"series"`
	New      uint64     `json:"new_series"`
	Agents   uint64     `json:"agents"`
	Metrics  uint64     `json:"metrics"`
	ByMetric []Metric   `json:"by_metric"`
	ByLabel  []LabelUse `json:"by_label"`
}

const (
	listedByDefault = 1000
	maxListed       = 10_000
)

// metrics lists what can be asked for.
func (a *App) metrics(c *fiber.Ctx) error {
	return list(c, "metrics", listedByDefault, func(ctx context.Context, limit int) ([]Metric, error) {
		return a.Catalogue.Metrics(ctx, c.Query("search"), limit)
	})
}

// labels lists the labels of a metric, or of all.
func (a *App) labels(c *fiber.Ctx) error {
	return list(c, "labels", listedByDefault, func(ctx context.Context, limit int) ([]LabelUse, error) {
		return a.Catalogue.Labels(ctx, c.Query("metric"), limit)
	})
}

// labelValues lists the values of a label.
func (a *App) labelValues(c *fiber.Ctx) error {
	label, err := url.PathUnescape(c.Params("label"))
	if err != nil {
		return refuse(http.StatusBadRequest, "bad_request", "the label's name in the address: "+err.Error())
	}
	return list(c, "values", listedByDefault, func(ctx context.Context, limit int) ([]string, error) {
		return a.Catalogue.LabelValues(ctx, label, c.Query("metric"), c.Query("prefix"), limit)
	})
}

// list answers with a list and whether it is whole.
func list[T any](c *fiber.Ctx, name string, byDefault int, ask func(ctx context.Context, limit int) ([]T, error)) error {
	limit, err := parseLimit(c, byDefault, maxListed)
	if err != nil {
		return err
	}
	items, err := ask(c.UserContext(), limit+1)
	if err != nil {
		return historyError(err)
	}
	more := len(items) > limit
	if more {
		items = items[:limit]
	}
	return c.JSON(fiber.Map{name: items, "more": more})
}

// cardinality says which metrics and labels there is most of.
func (a *App) cardinality(c *fiber.Ctx) error {
	limit, err := parseLimit(c, 20, maxListed)
	if err != nil {
		return err
	}
	all, err := a.Catalogue.Cardinality(c.UserContext(), limit)
	if err != nil {
		return historyError(err)
	}
	return c.JSON(all)
}

func parseLimit(c *fiber.Ctx, byDefault, most int) (int, error) {
	text := c.Query("limit", strconv.Itoa(byDefault))
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		return 0, refuse(http.StatusBadRequest, "bad_limit", fmt.Sprintf("limit=%.20s: give a number from 1 to %d", text, most))
	}
	return limit, nil
}
