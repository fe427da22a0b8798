package wire

// Limits is what a hub accepts; welcome carries it. Lengths are bytes of UTF-8.
type Limits struct {
	FrameBytes          int // one message, also after decompression
	SamplesPerBatch     int // a distribution counts as its number of bins
	SeriesPerConnection int // descriptions in force at once, binary form only
	LabelsPerSeries     int // the agent's own and "agent" among them
	LabelNameBytes      int
	LabelValueBytes     int
	MetricBytes         int // the same for an agent's id
	Epochs              int // per connection
	MaxInFlight         int // batches sent and not yet acknowledged
}

// DefaultLimits is what a hub accepts unless it is configured otherwise.
func DefaultLimits() Limits {
	return Limits{
		FrameBytes:          4 << 20,
		SamplesPerBatch:     20_000,
		SeriesPerConnection: 100_000,
		LabelsPerSeries:     32,
		LabelNameBytes:      128,
		LabelValueBytes:     1024,
		MetricBytes:         200,
		Epochs:              32,
		MaxInFlight:         64,
	}
}

// Reason says why a sample was refused.
type Reason string

// The reasons for which a sample is refused. The rest of its batch is stored, but of one
// that is quarantined.
const (
	TooOld        Reason = "too_old"         // older than raw retention
	TooNew        Reason = "too_new"         // more than a minute ahead of the hub's clock
	NotFinite     Reason = "not_finite"      // NaN or an infinity
	BadValue      Reason = "bad_value"       // no value, a negative increase, an empty or impossible bin
	BadMetric     Reason = "bad_metric"      // the metric's name or unit is not allowed
	BadLabel      Reason = "bad_label"       // a label's name is not allowed, or stands twice
	TooManyLabels Reason = "too_many_labels" // more than Limits.LabelsPerSeries
	LabelTooLong  Reason = "label_too_long"  // a name or value over its limit
	InvalidUTF8   Reason = "invalid_utf8"    // a metric, unit or label is not UTF-8
	ReservedLabel Reason = "reserved_label"  // the sample sets the label "agent" itself
	KindConflict  Reason = "kind_conflict"   // the series is known with another kind
	SeriesLimit   Reason = "series_limit"    // the hub holds as many series as it may
	Quarantined   Reason = "quarantined"     // storage cannot take the batch; the hub has set it aside, whole
)

// Reasons lists every reason, in the order of the binary form: the first is number 1.
var Reasons = []Reason{
	TooOld, TooNew, NotFinite, BadValue, BadMetric, BadLabel, TooManyLabels,
	LabelTooLong, InvalidUTF8, ReservedLabel, KindConflict, SeriesLimit, Quarantined,
}

// Error makes a reason the error with which a hub's store turns a series away.
func (r Reason) Error() string { return string(r) }

// fields lists the limits in the order of the binary form: the first is field 1.
func (l *Limits) fields() []*int {
	return []*int{
		&l.FrameBytes, &l.SamplesPerBatch, &l.SeriesPerConnection, &l.LabelsPerSeries,
		&l.LabelNameBytes, &l.LabelValueBytes, &l.MetricBytes, &l.Epochs, &l.MaxInFlight,
	}
}
