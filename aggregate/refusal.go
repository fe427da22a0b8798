package aggregate

// Reasons of a Refusal, as agents and metrics see them.
const (
	ReasonKindConflict = "kind_conflict" // the metric is known as another kind
	ReasonSeriesLimit  = "series_limit"  // the agent or the hub has as many series as it may
	ReasonIDConflict   = "id_conflict"   // two series hash to one id; 1 in 10^7 at a million series
)

// Refusal is the error of a series that is not taken. The rest of its sender's series are unaffected.
type Refusal struct {
	Reason  string // one of the Reason constants
	Message string // names the limit and the remedy
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Message }
