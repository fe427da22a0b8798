package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// verdict is how bad a finding is.
type verdict int

const (
	fine verdict = iota
	warning
	failing
)

var verdictNames = [...]string{"ok", "warn", "FAIL"}

func (v verdict) String() string { return verdictNames[v] }

// MarshalText is the verdict in JSON: ok, warn or fail.
func (v verdict) MarshalText() ([]byte, error) {
	if v < fine || v > failing {
		return nil, fmt.Errorf("%d is no verdict", int(v))
	}
	return []byte(strings.ToLower(v.String())), nil
}

// finding is what was seen by one check.
type finding struct {
	Hub     string             `json:"hub,omitempty"` // where there are several
	Check   string             `json:"check"`
	Verdict verdict            `json:"verdict"`
	Seen    string             `json:"seen"`
	Remedy  string             `json:"remedy,omitempty"` // of what is not ok
	Figures map[string]float64 `json:"figures,omitempty"`
}

// diagnosis is all findings, those of each hub together.
type diagnosis struct{ findings []finding }

func (d *diagnosis) worst() verdict {
	worst := fine
	for i := range d.findings {
		worst = max(worst, d.findings[i].Verdict)
	}
	return worst
}

func (d *diagnosis) printJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Verdict  verdict   `json:"verdict"`
		Findings []finding `json:"findings"`
	}{d.worst(), d.findings})
}

// colours are those of verdicts on a terminal: green, yellow, red.
var colours = [...]string{"32", "33", "31"}

func (d *diagnosis) printTable(out io.Writer, coloured bool) error {
	width := 0
	for i := range d.findings {
		width = max(width, len(d.findings[i].Check))
	}
	var text strings.Builder
	hub, count := "", [len(verdictNames)]int{}
	for i := range d.findings {
		f := &d.findings[i]
		if f.Hub != hub {
			hub = f.Hub
			fmt.Fprintf(&text, "%s\n", hub)
		}
		count[f.Verdict]++
		name := fmt.Sprintf("%-4s", f.Verdict)
		if coloured {
			name = "\x1b[" + colours[f.Verdict] + "m" + name + "\x1b[0m"
		}
		fmt.Fprintf(&text, "%s  %-*s  %s\n", name, width, f.Check, f.Seen)
		if f.Remedy != "" {
			fmt.Fprintf(&text, "      %-*s  -> %s\n", width, "", f.Remedy)
		}
	}
	if count[warning]+count[failing] == 0 {
		fmt.Fprintf(&text, "\nall is well: %d findings\n", count[fine])
	} else {
		fmt.Fprintf(&text, "\n%s, %s\n", plural(count[failing], "failure"), plural(count[warning], "warning"))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
