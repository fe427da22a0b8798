package history

import "telltale/aggregate"

// A marker is one row that every block carries in `raw`. Finding it is the proof that the whole
// block is stored, since a block is one part; not finding it, once no insert runs, that none of it is.

// maxHub bounds hub numbers to 31 bits, which leaves the top bit of a marker's id clear.
const maxHub = 1<<31 - 1

// markerID is the reserved series of a block: below aggregate.FirstSeriesID, hidden by the views.
func markerID(hub, block uint32) aggregate.SeriesID {
	return uint64(hub&maxHub)<<32 | uint64(block)
}
