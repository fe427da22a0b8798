package dashboard

import (
	"context"
	"math"
	"slices"

	"telltale/aggregate"
)

// askBefore asks history for what windows are compared with: those named by ends, a step long. Each of the columns has a place
// for each of them. The step used is longer where history has no shorter one for that time: then a value is that of the longer
// window around the one meant.
func askBefore(ctx context.Context, h History, queries map[string]aggregate.Query, step aggregate.Step, c aggregate.Comparison, ends []int64,
) (results map[string]aggregate.Columns, used aggregate.Step, err error) {
	windows := c.Windows(step, ends)
	first, last := max(slices.Min(windows), 1), max(slices.Max(windows), 1)
	used = step
	for {
		ask := HistoryQuery{Queries: queries, From: used.WindowEnd(first-1) - int64(used), To: used.WindowEnd(last - 1), Step: used}
		answer, err := h.Query(ctx, ask)
		if err != nil {
			return nil, 0, err
		}
		if answer.Step == used {
			return place(answer, windows), used, nil
		}
		used = answer.Step // whose windows are others: ask for those around first and last
	}
}

// place gives each window the values of the answer's window that it lies in.
func place(answer HistoryAnswer, windows []int64) map[string]aggregate.Columns {
	at := make(map[int64]int, len(answer.Ends))
	for i, end := range answer.Ends {
		at[end] = i
	}
	results := make(map[string]aggregate.Columns, len(answer.Results))
	for name, found := range answer.Results {
		columns := aggregate.Columns{Groups: found.Groups, Values: make([][]float64, len(found.Values))}
		for g, values := range found.Values {
			columns.Values[g] = make([]float64, len(windows))
			for i, end := range windows {
				columns.Values[g][i] = math.NaN()
				if from, has := at[answer.Step.WindowEnd(end-1)]; has && end > 0 {
					columns.Values[g][i] = values[from]
				}
			}
		}
		results[name] = columns
	}
	return results
}

// askCompared asks history for a range and what it is compared with, both at one step. A window that is open at the time now
// (ms) is compared with nothing: it has a part of its values, and the other all.
func askCompared(ctx context.Context, h History, ask HistoryQuery, c aggregate.Comparison, now int64,
) (answer HistoryAnswer, before map[string]aggregate.Columns, err error) {
	for {
		if answer, err = h.Query(ctx, ask); err != nil || len(answer.Ends) == 0 {
			return answer, nil, err
		}
		var used aggregate.Step
		if before, used, err = askBefore(ctx, h, ask.Queries, answer.Step, c, answer.Ends); err != nil {
			return answer, nil, err
		}
		if used == answer.Step {
			break
		}
		ask.Step = used
	}
	for i, end := range answer.Ends {
		if end <= now {
			continue
		}
		for _, columns := range before {
			for _, values := range columns.Values {
				values[i] = math.NaN()
			}
		}
	}
	return answer, before, nil
}
