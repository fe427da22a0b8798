package wire

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unitBytes bounds a unit; UCUM's longest in use are far shorter.
const unitBytes = 64

// CheckSeries returns why no sample of the series can be accepted, or "". It sorts the labels.
func (l *Limits) CheckSeries(s *Series) Reason {
	switch {
	case len(s.Metric) > l.MetricBytes || len(s.Unit) > unitBytes:
		return BadMetric
	case !utf8.ValidString(s.Metric) || !utf8.ValidString(s.Unit):
		return InvalidUTF8
	case !isName(s.Metric) || !isText(s.Unit):
		return BadMetric
	}
	return l.checkLabels(s.Labels)
}

func (l *Limits) checkLabels(labels []Label) Reason {
	if len(labels) > l.LabelsPerSeries {
		return TooManyLabels
	}
	SortLabels(labels)
	for i, label := range labels {
		switch {
		case len(label.Name) > l.LabelNameBytes || len(label.Value) > l.LabelValueBytes:
			return LabelTooLong
		case !utf8.ValidString(label.Name) || !utf8.ValidString(label.Value):
			return InvalidUTF8
		case !isName(label.Name) || !isText(label.Value) || i > 0 && labels[i-1].Name == label.Name:
			return BadLabel
		case label.Name == AgentLabel:
			return ReservedLabel
		}
	}
	return ""
}

// CheckHello returns why the hub closes instead of welcoming, or nil. It sorts the labels.
func (l *Limits) CheckHello(h *Hello) *CloseError {
	if h.Agent.ID == "" || len(h.Agent.ID) > l.MetricBytes || !utf8.ValidString(h.Agent.ID) || !isText(h.Agent.ID) {
		return Closef(BadFrame, "agent.id must be 1 to %d bytes of UTF-8 without control characters", l.MetricBytes)
	}
	if reason := l.checkLabels(h.Agent.Labels); reason != "" {
		return Closef(labelsCode(reason), "agent.labels: %s", reason)
	}
	if reason := l.checkLabels(h.Agent.Attributes); reason != "" && reason != ReservedLabel {
		return Closef(labelsCode(reason), "agent.attributes: %s", reason)
	}
	if len(h.Epochs) > l.Epochs {
		return Closef(LimitExceeded, "%d epochs in hello, at most %d: declare the oldest as gaps", len(h.Epochs), l.Epochs)
	}
	for _, epoch := range h.Epochs {
		if err := CheckEpoch(epoch); err != nil {
			return err
		}
	}
	return nil
}

func labelsCode(reason Reason) CloseCode {
	if reason == TooManyLabels || reason == LabelTooLong {
		return LimitExceeded
	}
	return BadFrame
}

// epochBytes bounds an epoch's name; 16 hexadecimal digits are usual.
const epochBytes = 64

// CheckEpoch returns an error unless the name is 1 to 64 letters, digits, '-' or '_'.
func CheckEpoch(epoch string) *CloseError {
	ok := epoch != "" && len(epoch) <= epochBytes
	for i := 0; ok && i < len(epoch); i++ {
		c := epoch[i]
		ok = isLetter(c) || isDigit(c) || c == '-'
	}
	if !ok {
		return Closef(BadFrame, "epoch %.80q must be 1 to %d letters, digits, '-' or '_'", epoch, epochBytes)
	}
	return nil
}

// SortLabels sorts by name, as series want it.
func SortLabels(labels []Label) {
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
}

// isName says whether s can name a metric or a label: a letter or '_', then letters,
// digits and any of "_.:/-", which is what OpenTelemetry's and Prometheus' names need.
func isName(s string) bool {
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isLetter(c) && !isDigit(c) && strings.IndexByte(".:/-", c) < 0 {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// isText says that s holds no control characters, which would garble logs and tables.
func isText(s string) bool { return strings.IndexFunc(s, unicode.IsControl) < 0 }
