package main

import (
	"context"
	"errors"
	"net/url"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
	"telltale/dashboard"
)

// analysts shows what analysts may ask of history to the dashboard.
type analysts struct {
	reader *history.Reader
	sql    *history.Analyst // nil where an outside ClickHouse names no address for them
}

var (
	_ dashboard.Analysts  = analysts{}
	_ dashboard.Catalogue = analysts{}
)

// openAnalysts finds the way to ClickHouse as the user for analysts.
func (h *hub) openAnalysts() (analysts, error) {
	address := h.config.ClickhouseAnalyst
	if h.engine != nil {
		own := h.engine.Addresses()
		u, err := url.Parse(own.HTTP)
		if err != nil {
			return analysts{}, err
		}
		u.User, u.Path = url.UserPassword(engine.AnalystUser, own.AnalystPassword), "/"+engine.Database
		address = u.String()
	}
	if address == "" {
		return analysts{reader: h.reader}, nil
	}
	sql, err := history.NewAnalyst(address, h.metrics)
	if err != nil {
		return analysts{}, err
	}
	authorities, err := h.config.authorities()
	if err != nil {
		return analysts{}, err
	}
	if authorities != nil {
		sql.Trust(authorities)
	}
	h.onClose(sql.Close)
	return analysts{h.reader, sql}, nil
}

// Run runs a statement of an analyst.
func (a analysts) Run(ctx context.Context, statement dashboard.SQL) (*dashboard.SQLResult, error) {
	if a.sql == nil {
		return nil, &dashboard.LimitError{
			Code: "no_sql", Message: "this hub has no address for analysts: start it with --clickhouse-analyst http://user:password@host:8123/telltale",
		}
	}
	result, err := a.sql.Run(ctx, statement.Asker, statement.Text, statement.Format, statement.Parameters)
	if err != nil {
		return nil, asAsked(err)
	}
	return (*dashboard.SQLResult)(result), nil
}

// asAsked makes an error of the history one of the dashboard's.
func asAsked(err error) error {
	var limit *history.LimitError
	var wrong *history.SQLError
	switch {
	case errors.As(err, &limit):
		passing := limit.Code == history.CodeBusy || limit.Code == history.CodeTooSlow || limit.Code == history.CodeAway
		return &dashboard.LimitError{Code: limit.Code, Message: limit.Message, Passing: passing}
	case errors.As(err, &wrong):
		return &dashboard.SQLError{Code: wrong.Code, Message: wrong.Message}
	}
	return err
}

// Metrics lists metrics.
func (a analysts) Metrics(ctx context.Context, contains string, limit int) ([]dashboard.Metric, error) {
	metrics, err := a.reader.Metrics(ctx, contains, limit)
	return asMetrics(metrics), asAsked(err)
}

func asMetrics(from []history.Metric) []dashboard.Metric {
	metrics := make([]dashboard.Metric, len(from))
	for i, m := range from {
		metrics[i] = dashboard.Metric(m)
	}
	return metrics
}

// Labels lists labels.
func (a analysts) Labels(ctx context.Context, metric string, limit int) ([]dashboard.LabelUse, error) {
	labels, err := a.reader.Labels(ctx, metric, limit)
	return asLabels(labels), asAsked(err)
}

func asLabels(from []history.LabelUse) []dashboard.LabelUse {
	labels := make([]dashboard.LabelUse, len(from))
	for i, l := range from {
		labels[i] = dashboard.LabelUse(l)
	}
	return labels
}

// LabelValues lists a label's values.
func (a analysts) LabelValues(ctx context.Context, label, metric, prefix string, limit int) ([]string, error) {
	values, err := a.reader.LabelValues(ctx, label, metric, prefix, limit)
	return values, asAsked(err)
}

// Cardinality says what there is most of.
func (a analysts) Cardinality(ctx context.Context, limit int) (dashboard.Cardinality, error) {
	c, err := a.reader.Cardinality(ctx, limit)
	return dashboard.Cardinality{
		Series: c.Series, New: c.New, Agents: c.Agents, Metrics: c.Metrics, ByMetric: asMetrics(c.ByMetric), ByLabel: asLabels(c.ByLabel),
	}, asAsked(err)
}
