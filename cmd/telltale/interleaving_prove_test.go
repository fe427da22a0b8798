//go:build prove

package main

import "testing"

func TestProveAnyInterleavingYieldsTheSameTable(t *testing.T) { interleave(t, 200, 25, 100) }
