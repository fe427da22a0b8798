package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"telltale/aggregate"
)

const mimeCSV = "text/csv"

// query answers a question about the past, in columns: as JSON, or as CSV where that is preferred.
func (a *App) query(c *fiber.Ctx) error {
	ask, err := parseHistoryQuery(c.BodyRaw())
	if err != nil {
		return err
	}
	answer, before, err := ask.answer(c.UserContext(), a.History, a.now())
	if err != nil {
		return historyError(err)
	}
	c.Vary(fiber.HeaderAccept)
	if c.Accepts(fiber.MIMEApplicationJSON, mimeCSV) == mimeCSV {
		c.Set(fiber.HeaderContentType, mimeCSV+"; charset=utf-8; header=present")
		return c.Send(appendCSV(nil, answer))
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(appendHistory(nil, ask, answer, before))
}

// historyRequest is a question about the past, as it was asked.
type historyRequest struct {
	HistoryQuery
	compare *aggregate.Comparison // nil: with nothing
}

// answer asks the history.
func (r historyRequest) answer(ctx context.Context, h History, now time.Time) (answer HistoryAnswer, before map[string]aggregate.Columns, err error) {
	if r.compare != nil {
		return askCompared(ctx, h, r.HistoryQuery, *r.compare, now.UnixMilli())
	}
	answer, err = h.Query(ctx, r.HistoryQuery)
	return answer, nil, err
}

// parseHistoryQuery reads a request; its limits are the history's. Errors are for the asker.
func parseHistoryQuery(body []byte) (historyRequest, error) {
	var request struct {
		Queries map[string]json.RawMessage `json:"queries"`
		From    int64                      `json:"from"`
		To      int64                      `json:"to"`
		Step    string                     `json:"step"`

		Compare  string `json:"compare"`
		Timezone string `json:"timezone"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return historyRequest{}, refuse(http.StatusBadRequest, "bad_request",
			`send {"queries": {name: query}, "from": ms, "to": ms, "step": "1s"}: `+err.Error())
	}
	ask := historyRequest{HistoryQuery: HistoryQuery{
		Queries: make(map[string]aggregate.Query, len(request.Queries)), From: request.From, To: request.To,
	}}
	var err error
	if ask.compare, err = parseComparison(request.Compare, request.Timezone); err != nil {
		return historyRequest{}, refuse(http.StatusBadRequest, "bad_request", err.Error())
	}
	if ask.Step, err = aggregate.ParseStep(request.Step); err != nil {
		return historyRequest{}, refuse(http.StatusBadRequest, "bad_request", "step: "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(request.Queries)) {
		var q aggregate.Query
		if err := json.Unmarshal(request.Queries[name], &q); err != nil {
			return historyRequest{}, refuse(http.StatusBadRequest, "bad_query", name+": "+err.Error())
		}
		q.Step = ask.Step
		ask.Queries[name] = q
	}
	if err := aggregate.ValidateQueries(ask.Queries); err != nil {
		return historyRequest{}, refuse(http.StatusBadRequest, "bad_query", err.Error())
	}
	return ask, nil
}

// parseComparison reads a request's comparison, nil for none.
func parseComparison(shift, zone string) (*aggregate.Comparison, error) {
	if shift == "" && zone == "" {
		return nil, nil
	}
	c, err := aggregate.NewComparison(shift, zone)
	return &c, err
}
