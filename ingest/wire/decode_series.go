package wire

import (
	"strings"
	"unicode/utf8"

	"github.com/VictoriaMetrics/easyproto"
)

// define appends one description of a series to the columns.
func (d *Decoder) define(fc *easyproto.FieldContext) (ok bool, err error) {
	data, ok := fc.MessageData()
	if !ok {
		return false, nil
	}
	if len(d.columns.Defined) >= d.limits.SeriesPerConnection {
		return true, Closef(LimitExceeded, "more than %d series on one connection: send reset", d.limits.SeriesPerConnection)
	}
	defined, err := d.readSeries(data)
	d.columns.Defined = append(d.columns.Defined, defined)
	return true, err
}

// readSeries reads a description of a series. What is wrong with it becomes its Reason.
func (d *Decoder) readSeries(data []byte) (Defined, error) {
	var s Series
	var kind uint64
	var reason Reason
	err := eachField(data, "series", func(fc *easyproto.FieldContext) bool {
		switch fc.FieldNum {
		case 1:
			return d.name(fc, &s.Metric, d.limits.MetricBytes, BadMetric, &reason)
		case 3:
			return d.name(fc, &s.Unit, unitBytes, BadMetric, &reason)
		case 4:
			return d.seriesLabel(fc, &s.Labels, &reason)
		}
		return number(fc, 2, &kind) && duration(fc, 5, &s.Interval)
	})
	if err == nil && kind > uint64(Distribution) {
		err = Closef(BadFrame, "series: unknown kind %d: use 0 gauge, 1 counter or 2 distribution", kind)
	}
	s.Kind = Kind(kind)
	if reason == "" {
		reason = d.limits.CheckSeries(&s)
	}
	if reason != "" {
		s = Series{Kind: s.Kind}
	}
	return Defined{Series: s, Reason: reason}, err
}

func (d *Decoder) seriesLabel(fc *easyproto.FieldContext, to *[]Label, reason *Reason) bool {
	data, ok := fc.MessageData()
	if !ok || *reason != "" {
		return ok
	}
	if len(*to) >= d.limits.LabelsPerSeries {
		*reason = TooManyLabels
		return true
	}
	var l Label
	err := eachField(data, "label", func(fc *easyproto.FieldContext) bool {
		switch fc.FieldNum {
		case 1:
			return d.name(fc, &l.Name, d.limits.LabelNameBytes, LabelTooLong, reason)
		case 2:
			return d.name(fc, &l.Value, d.limits.LabelValueBytes, LabelTooLong, reason)
		}
		return true
	})
	*to = append(*to, l)
	return err == nil
}

// name copies a string of a series unless it is over its limit or not UTF-8.
func (d *Decoder) name(fc *easyproto.FieldContext, to *string, limit int, tooLong Reason, reason *Reason) bool {
	s, ok := fc.String()
	switch {
	case len(s) > limit:
		*reason = tooLong
	case !utf8.ValidString(s):
		*reason = InvalidUTF8
	default:
		*to = strings.Clone(s)
	}
	return ok
}
