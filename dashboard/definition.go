package dashboard

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"telltale/aggregate"
)

// definition is what a dashboard shows, as its YAML says and as the page gets it in JSON. Times
// are milliseconds.
type definition struct {
	ID       string                     `yaml:"-" json:"id"`
	Title    string                     `yaml:"title" json:"title"`
	Variable string                     `yaml:"variable" json:"-"` // a label that all queries are narrowed to one value of
	StepMS   int64                      `yaml:"step_ms" json:"step_ms"`
	Timezone string                     `yaml:"timezone" json:"timezone,omitempty"` // IANA name, by whose calendar is compared; UTC without
	RangeMS  int64                      `yaml:"range_ms" json:"range_ms"`           // that the trends cover
	Queries  map[string]aggregate.Query `yaml:"queries" json:"queries"`
	Tiles    []tile                     `yaml:"tiles" json:"tiles"`
	Trends   []trend                    `yaml:"trends" json:"trends"`
	Table    *table                     `yaml:"table" json:"table,omitempty"`
	Storage  *storage                   `yaml:"storage" json:"storage,omitempty"`
}

// storage names the queries by which a page tells how storing goes, beside what the dashboard is
// about: whether history is behind, by reason, and how many batches agents hold.
type storage struct {
	Behind  string `yaml:"behind" json:"behind"`   // by reason, 1 where it holds; never narrowed to the variable's value
	Backlog string `yaml:"backlog" json:"backlog"` // batches that agents hold, and have not been told are stored
	Senders string `yaml:"senders" json:"senders"` // how many agents tell of it
}

// measure is a number and how it is shown and judged.
type measure struct {
	Title  string   `yaml:"title" json:"title"`
	Unit   string   `yaml:"unit" json:"unit"` // UCUM
	Format string   `yaml:"format" json:"format"`
	Query  string   `yaml:"query" json:"query"`
	Warn   *float64 `yaml:"warn" json:"warn,omitempty"`
	Crit   *float64 `yaml:"crit" json:"crit,omitempty"`
}

// tile is a number of all that the dashboard is about.
type tile struct {
	ID      string `yaml:"id" json:"id"`
	measure `yaml:",inline"`
	Better  string `yaml:"better" json:"better"`             // lower, higher or none
	Compare string `yaml:"compare" json:"compare,omitempty"` // with which past: a shift, or nothing
}

// trend is a chart. Where its id is a tile's, the tile's thresholds are drawn in it.
type trend struct {
	ID      string   `yaml:"id" json:"id"`
	Title   string   `yaml:"title" json:"title"`
	Unit    string   `yaml:"unit" json:"unit"`
	Format  string   `yaml:"format" json:"format"`
	Max     *float64 `yaml:"max" json:"max,omitempty"` // of the axis, where the measure has one
	Lines   []line   `yaml:"lines" json:"lines"`
	Compare string   `yaml:"compare" json:"compare,omitempty"` // with which past each line is drawn once more: a shift, or nothing
}

// line is one line per group of a query. {name} in its label stands for the group's label.
type line struct {
	Query string `yaml:"query" json:"query"`
	Label string `yaml:"label" json:"label"`
}

// table has one row per value of the label Row, by which all columns' queries are grouped.
type table struct {
	Title   string    `yaml:"title" json:"title"`
	Row     string    `yaml:"row" json:"row"`
	Link    string    `yaml:"link" json:"link"`
	Columns []measure `yaml:"columns" json:"columns"`
}

// parseDefinition reads and checks a definition; unknown keys are errors.
func parseDefinition(id string, text []byte) (definition, error) {
	d := definition{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return d, fmt.Errorf("read: %w", err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return d, errors.New("more than one document")
	}
	d.ID = id
	return d, d.validate()
}
