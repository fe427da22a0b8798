package stream

import (
	"errors"
	"fmt"
	"time"
)

// Config holds what an operator may set. Start from [DefaultConfig]; no field may be zero.
type Config struct {
	// MaxViewers is how many streams may be open; who comes next is asked to retry later.
	MaxViewers int
	// MaxViewersPerUser is the same for the streams of one [Request.User].
	MaxViewersPerUser int

	// RingFrames and RingBytes (uncompressed) bound a topic's memory, out of which
	// returning viewers are served. What is older is answered with a gap and a snapshot.
	RingFrames int
	RingBytes  int

	// Heartbeat is the longest silence; the shortest is 80 % of it.
	Heartbeat time.Duration
	// MaxAge is the longest life of a stream; the shortest is 80 % of it. The viewer comes
	// back with its last id and misses nothing.
	MaxAge time.Duration
	// Stall is how long a viewer may take nothing of a frame begun, or on TLS take for all of it,
	// and its network acknowledge nothing, before it is given up.
	Stall time.Duration

	// Retry is the shortest pause a viewer is told to make before it reconnects.
	Retry time.Duration
	// ReconnectsPerSecond spreads the viewers' return after a shutdown: 10,000 viewers at
	// 170 per second come back within a minute, ten of them at once.
	ReconnectsPerSecond int
}

// DefaultConfig suits one hub on a machine that allows 20,000 descriptors.
func DefaultConfig() Config {
	return Config{
		MaxViewers:          16_000,
		MaxViewersPerUser:   1_000,
		RingFrames:          60,
		RingBytes:           256 << 10,
		Heartbeat:           15 * time.Second,
		MaxAge:              time.Hour,
		Stall:               20 * time.Second,
		Retry:               1500 * time.Millisecond,
		ReconnectsPerSecond: 170,
	}
}

// Validate names the fields that are not positive.
func (c Config) Validate() error {
	fields := []struct {
		name  string
		value int64
	}{
		{"MaxViewers", int64(c.MaxViewers)},
		{"MaxViewersPerUser", int64(c.MaxViewersPerUser)},
		{"RingFrames", int64(c.RingFrames)},
		{"RingBytes", int64(c.RingBytes)},
		{"Heartbeat", int64(c.Heartbeat)},
		{"MaxAge", int64(c.MaxAge)},
		{"Stall", int64(c.Stall)},
		{"Retry", int64(c.Retry)},
		{"ReconnectsPerSecond", int64(c.ReconnectsPerSecond)},
	}
	var errs []error
	for _, f := range fields {
		if f.value <= 0 {
			errs = append(errs, fmt.Errorf("stream setting %s is %d: use a positive value", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// scanEvery is how often timers are looked at: fine enough for the shortest of them.
func (c Config) scanEvery() time.Duration {
	shortest := min(c.Heartbeat, c.MaxAge, c.Stall)
	return min(max(shortest/20, 5*time.Millisecond), time.Second)
}
