//go:build prove

package history

import "testing"

func TestProveHistoryEqualsReference(t *testing.T) { checkCases(t, 10_000) }

func TestProveAClusterEqualsReference(t *testing.T) { checkCluster(t, newTestCluster(t), 100) }
