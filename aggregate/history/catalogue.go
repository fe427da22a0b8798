package history

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"telltale/aggregate"
)

// Metric is what history knows of a metric.
type Metric struct {
	Name   string
	Kind   string
	Unit   string
	Labels []string // that its series have, sorted; the agent's is among them
	Series uint64
	New    uint64 // of the series, those first seen within the last day
}

// LabelUse is how a label is used.
type LabelUse struct {
	Label  string
	Values uint64 // distinct ones
	Series uint64 // that have it
	Metric string // of those that have it, the one with most values of it
}

// Cardinality says what there is most of.
type Cardinality struct {
	Series, New, Agents, Metrics uint64
	ByMetric                     []Metric   // the ones with most series, those first
	ByLabel                      []LabelUse // the ones with most values, those first
}

// newSince marks series as new.
const newSince = "first_seen >= now() - INTERVAL 1 DAY"

const metricColumns = `metric, CAST(any(kind), 'String'), any(unit), ` +
	`arraySort(arrayPushBack(groupUniqArrayArray(mapKeys(labels)), '` + aggregate.AgentLabel + `')), count() AS series, countIf(` + newSince + `)`

// Metrics returns the metrics whose name contains a text, in the order of their names, at most limit of them.
func (r *Reader) Metrics(ctx context.Context, contains string, limit int) ([]Metric, error) {
	var s statement
	s.text = "SELECT " + metricColumns + `
FROM known_series FINAL
WHERE positionCaseInsensitiveUTF8(metric, ` + s.bind("contains", "String", contains) + `) > 0
GROUP BY metric
ORDER BY metric
LIMIT ` + s.bind("limit", "UInt64", limit)
	return r.metricList(ctx, s)
}

func (r *Reader) metricList(ctx context.Context, s statement) ([]Metric, error) {
	metrics := []Metric{}
	err := r.list(ctx, s, func(rows driver.Rows) error {
		var m Metric
		err := rows.Scan(&m.Name, &m.Kind, &m.Unit, &m.Labels, &m.Series, &m.New)
		metrics = append(metrics, m)
		return err
	})
	return metrics, err
}

// Labels returns the labels that series of a metric have, or of any where it is empty, those with most values first.
func (r *Reader) Labels(ctx context.Context, metric string, limit int) ([]LabelUse, error) {
	var s statement
	s.text = `SELECT label, uniqExact(value) AS distinct_values, sum(n), argMax(metric, of_metric)
FROM
(
	SELECT metric, label, value, count() AS n, count() OVER (PARTITION BY metric, label) AS of_metric
	FROM
	(
		SELECT metric, arrayJoin(arrayPushBack(CAST(labels, 'Array(Tuple(String, String))'), ('` + aggregate.AgentLabel + `', agent))) AS pair,
			pair.1 AS label, pair.2 AS value
		FROM known_series FINAL
		WHERE ` + s.bind("metric", "String", metric) + ` IN ('', metric)
	)
	GROUP BY metric, label, value
)
GROUP BY label
ORDER BY distinct_values DESC, label
LIMIT ` + s.bind("limit", "UInt64", limit)
	labels := []LabelUse{}
	err := r.list(ctx, s, func(rows driver.Rows) error {
		var l LabelUse
		err := rows.Scan(&l.Label, &l.Values, &l.Series, &l.Metric)
		labels = append(labels, l)
		return err
	})
	return labels, err
}

// LabelValues returns the values of a label that begin with a prefix, sorted, at most limit of them; only those that series
// of a metric have where one is given.
func (r *Reader) LabelValues(ctx context.Context, label, metric, prefix string, limit int) ([]string, error) {
	var s statement
	value := s.label("label", label)
	s.text = `SELECT DISTINCT ` + value + ` AS value
FROM known_series FINAL
WHERE ` + s.bind("metric", "String", metric) + ` IN ('', metric) AND value != '' AND startsWith(value, ` + s.bind("prefix", "String", prefix) + `)
ORDER BY value
LIMIT ` + s.bind("limit", "UInt64", limit)
	values := []string{}
	err := r.list(ctx, s, func(rows driver.Rows) error {
		var v string
		err := rows.Scan(&v)
		values = append(values, v)
		return err
	})
	return values, err
}

// Cardinality returns what there is most of: limit metrics and labels.
func (r *Reader) Cardinality(ctx context.Context, limit int) (Cardinality, error) {
	var c Cardinality
	totals := statement{text: "SELECT count(), countIf(" + newSince + "), uniqExact(agent), uniqExact(metric) FROM known_series FINAL"}
	err := r.list(ctx, totals, func(rows driver.Rows) error {
		return rows.Scan(&c.Series, &c.New, &c.Agents, &c.Metrics)
	})
	if err != nil {
		return Cardinality{}, err
	}
	var s statement
	s.text = "SELECT " + metricColumns + " FROM known_series FINAL GROUP BY metric ORDER BY series DESC, metric LIMIT " +
		s.bind("limit", "UInt64", limit)
	if c.ByMetric, err = r.metricList(ctx, s); err != nil {
		return Cardinality{}, err
	}
	c.ByLabel, err = r.Labels(ctx, "", limit)
	return c, err
}

// list runs a statement of the catalogue in its turn.
func (r *Reader) list(ctx context.Context, s statement, scan func(driver.Rows) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, errTooSlow)
	defer cancel()
	if err := r.turn(ctx); err != nil {
		return err
	}
	defer func() { <-r.turns }()
	return r.explain(ctx, r.rows(ctx, s, nil, scan))
}
