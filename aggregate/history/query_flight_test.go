package history

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

func newTestFlights() *flights {
	return &flights{shared: prometheus.NewCounter(prometheus.CounterOpts{}), byKey: map[string]*flight{}}
}

// TestFlightOutlivesTheCallerWhoStartedIt and ends with the last one.
func TestFlightOutlivesTheCallerWhoStartedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlights()
		flown, ended := 0, 0
		land := make(chan struct{})
		read := func(ctx context.Context) ([]groupValues, error) {
			flown++
			select {
			case <-land:
				return []groupValues{{place: 7}}, nil
			case <-ctx.Done():
				ended++
				return nil, context.Cause(ctx)
			}
		}
		var callers sync.WaitGroup
		call := func(key string, check func([]groupValues, error)) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			callers.Go(func() { check(f.do(ctx, key, read)) })
			synctest.Wait()
			return cancel
		}
		left := func(_ []groupValues, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a caller who left got %v", err)
			}
		}
		leaveFirst := call("a", left)
		stay := call("a", func(groups []groupValues, err error) {
			if err != nil || len(groups) != 1 || groups[0].place != 7 {
				t.Errorf("the caller who stayed got %v, %v", groups, err)
			}
		})
		leaveAlone := call("b", left)
		leaveFirst()
		leaveAlone()
		synctest.Wait()
		if flown != 2 || ended != 1 {
			t.Errorf("%d flights, of which %d were ended: want 2 and 1", flown, ended)
		}
		again := call("b", func(groups []groupValues, err error) {
			if err != nil || len(groups) != 1 {
				t.Errorf("the caller of a new flight got %v, %v", groups, err)
			}
		})
		close(land)
		callers.Wait()
		stay()
		again()
		if flown != 3 || len(f.byKey) != 0 {
			t.Errorf("%d flights and %d still known: want 3 and none", flown, len(f.byKey))
		}
		f.close()
		if _, err := f.do(t.Context(), "a", read); !errors.Is(err, errClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

func TestFlightHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlights()
		defer f.close()
		_, err := f.do(t.Context(), "a", func(ctx context.Context) ([]groupValues, error) {
			<-ctx.Done()
			return nil, explain(ctx, ctx.Err())
		})
		if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Code != CodeTooSlow {
			t.Errorf("got %v", err)
		}
	})
}
