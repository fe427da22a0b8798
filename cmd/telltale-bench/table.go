package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is the figures of a run. As JSON they are its fields.
type report interface {
	table(t *table)

	// failure says what did not go as it should, or nil.
	failure() error
}

// print writes the table, and JSON where it is asked for: then that alone is on standard output.
func (c console) print(r report, asJSON bool) error {
	to := c.out
	if asJSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("writing the figures: %w", err)
		}
		to = c.err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	r.table(&table{w})
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// table is rows of cells; the first cell of a row says what the others are.
type table struct{ to io.Writer }

func (t *table) row(cells ...string) {
	fmt.Fprintln(t.to, strings.Join(cells, "\t"))
}

func (t *table) counts(name string, counts map[string]int64) {
	total := int64(0)
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		total += counts[key]
		parts = append(parts, key+" "+grouped(counts[key]))
	}
	t.row(name, grouped(total), strings.Join(parts, ", "))
}

func (t *table) percentiles(name string, p percentiles) {
	ms := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	t.row(name, fmt.Sprintf("p50 %s  p90 %s  p99 %s  max %s ms", ms(p.P50), ms(p.P90), ms(p.P99), ms(p.Max)))
}

// processes writes a row for each; each is what the CPU time is divided by.
func (t *table) processes(all []processFigures, each string) {
	if len(all) == 0 {
		return
	}
	t.row()
	t.row("process", "CPU s", "% of a core", "CPU us per "+each, "resident MB", "peak MB")
	for _, p := range all {
		name := fmt.Sprintf("%s (%d)", p.Name, p.PID)
		if p.Lost != "" {
			t.row(name, p.Lost)
			continue
		}
		t.row(name, fixed(p.CPUSeconds, 2), fixed(p.CorePercent, 1), fixed(p.CPUMicros, 3), megabytes(p.ResidentBytes), megabytes(p.PeakBytes))
	}
}

func megabytes(bytes int64) string { return fixed(float64(bytes)/1e6, 1) }

func fixed(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

func round(v float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(v*scale) / scale
}

// grouped writes a number with a comma before every three digits.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// ratio is zero where there is nothing to divide by.
func ratio(of, by int64, decimals int) float64 {
	if by == 0 {
		return 0
	}
	return round(float64(of)/float64(by), decimals)
}
