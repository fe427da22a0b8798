package history

import "telltale/aggregate"

// Range is the times [From, To), in ms since the epoch.
type Range struct{ From, To int64 }

// TierState says which windows of a tier equal raw: those that end by Through, except the ones in Stale.
type TierState struct {
	Step    aggregate.Step
	Through int64   // ms
	Stale   []Range // aligned to Step, sorted, disjoint
}
