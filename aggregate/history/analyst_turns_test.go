package history

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAnalystTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newAnalystTurns(prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"}))
		take := func(asker string) func() {
			t.Helper()
			giveBack, err := turns.take(t.Context(), asker)
			if err != nil {
				t.Fatalf("%s: %v", asker, err)
			}
			return giveBack
		}
		busy := func(asker, says string, after time.Duration) {
			t.Helper()
			began := time.Now()
			_, err := turns.take(t.Context(), asker)
			var limit *LimitError
			if !errors.As(err, &limit) || limit.Code != CodeBusy || !strings.Contains(limit.Message, says) || time.Since(began) != after {
				t.Errorf("%s: %v after %v, want %q after %v", asker, err, time.Since(began), says, after)
			}
		}
		ends := []func(){take("ada"), take("ada"), take("ada")}
		busy("ada", "3 statements of yours are running", analystPatience)
		ends = append(ends, take("bob"))
		busy("bob", "4 statements of all analysts are running", analystPatience)

		// Who waits gets the next turn, and who leaves meanwhile takes none.
		got := make(chan func())
		go func() { got <- take("cyd") }()
		leaving, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := turns.take(leaving, "dan")
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who leaves gets %v", err)
		}
		ends[0]()
		ends[0] = <-got

		waiting := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		for range maxAskerReads + maxAskerWaiting - 2 { // two of Ada's run
			go func() {
				_, err := turns.take(ctx, "ada")
				waiting <- err
			}()
		}
		synctest.Wait()
		busy("ada", "19 statements of yours are running or waiting", 0)
		stop()
		for range maxAskerReads + maxAskerWaiting - 2 {
			if err := <-waiting; !errors.Is(err, context.Canceled) {
				t.Errorf("who waits gets %v", err)
			}
		}
		for _, end := range ends {
			end()
		}
		if len(turns.askers) != 0 || len(turns.all) != 0 {
			t.Errorf("left when all have ended: %d askers, %d turns", len(turns.askers), len(turns.all))
		}
		if n := testutil.ToFloat64(turns.refused); n != 3 {
			t.Errorf("%v refusals are counted, want 3", n)
		}
	})
}
