//go:build prove

package aggregate_test

import "testing"

// TestProveLiveEqualsReference goes on where TestLiveEqualsReference ends.
func TestProveLiveEqualsReference(t *testing.T) { runCases(t, 300, 10_300) }
