package history

import "telltale/aggregate"

// Markers are rows that every block carries in `raw`, one for each 10-second window that its samples
// lie in, at the window's start and with the number of its rows as value; a block without samples has one at its
// day. Finding one is the proof that the whole block is stored, since a block is one part; not finding
// it, once no insert runs, that none of it is. What they say of windows is for the tiers.

// maxHub bounds hub numbers to 31 bits, which leaves the top bit of a marker's id clear.
const maxHub = 1<<31 - 1

func isMarker(series aggregate.SeriesID) bool { return series < aggregate.FirstSeriesID }

// markerID is the reserved series of a block: below aggregate.FirstSeriesID, hidden by the views.
func markerID(hub, block uint32) aggregate.SeriesID {
	return uint64(hub&maxHub)<<32 | uint64(block)
}
