package dashboard

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	eventsPerMinute = 60
	eventBurst      = 10 // more at once would push the ticks out of what streams remember
	rememberedPaces = 1000
)

// eventPace bounds what one sender records: a program gone wild must not bury the events of others.
type eventPace struct {
	mu       sync.Mutex
	bySender map[sender]*rate.Limiter // guarded by mu
}

// take counts an event and returns 0, or counts none and returns how long to wait for the next.
func (p *eventPace) take(from sender, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter := p.bySender[from]
	if limiter == nil {
		p.forget(now)
		limiter = rate.NewLimiter(rate.Every(time.Minute/eventsPerMinute), eventBurst)
		p.bySender[from] = limiter
	}
	turn := limiter.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait > 0 {
		turn.CancelAt(now)
	}
	return wait
}

// forget drops those who have sent nothing for a while, once there are many: users and tokens come and go.
func (p *eventPace) forget(now time.Time) {
	if len(p.bySender) < rememberedPaces {
		return
	}
	for from, limiter := range p.bySender {
		if limiter.TokensAt(now) >= eventBurst {
			delete(p.bySender, from)
		}
	}
}
