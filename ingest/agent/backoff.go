package agent

import (
	"errors"
	"math/rand/v2"
	"time"

	"telltale/ingest/wire"
)

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second

	// finalWait is for refusals that somebody has to mend first, a revoked token for one.
	finalWait = 2 * time.Minute
)

// backoff is how long to wait before the next try: doubled each time, and jittered, so
// that the agents of a hub that restarts do not come back at once.
type backoff struct{ tries int }

func (b *backoff) reset() { b.tries = 0 }

func (b *backoff) next(err error) time.Duration {
	wait := min(firstWait<<min(b.tries, 10), maxWait)
	b.tries++
	var closing *wire.CloseError
	if errors.As(err, &closing) {
		switch {
		case closing.RetryAfter > 0:
			return closing.RetryAfter + rand.N(closing.RetryAfter)
		case closing.Code == wire.OutOfOrder || closing.Code == wire.StaleSeq:
			// Mended by a new epoch.
		case closing.Code.Final():
			wait = finalWait
		}
	}
	return wait/2 + rand.N(wait/2)
}
