package dashboard

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

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
	answer, err := a.History.Query(c.UserContext(), ask)
	if err != nil {
		return historyError(err)
	}
	c.Vary(fiber.HeaderAccept)
	if c.Accepts(fiber.MIMEApplicationJSON, mimeCSV) == mimeCSV {
		c.Set(fiber.HeaderContentType, mimeCSV+"; charset=utf-8; header=present")
		return c.Send(appendCSV(nil, answer))
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(appendHistory(nil, ask, answer))
}

// parseHistoryQuery reads a request; its limits are the history's. Errors are for the asker.
func parseHistoryQuery(body []byte) (HistoryQuery, error) {
	var request struct {
		Queries map[string]json.RawMessage `json:"queries"`
		From    int64                      `json:"from"`
		To      int64                      `json:"to"`
		Step    string                     `json:"step"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return HistoryQuery{}, refuse(http.StatusBadRequest, "bad_request",
			`send {"queries": {name: query}, "from": ms, "to": ms, "step": "1s"}: `+err.Error())
	}
	ask := HistoryQuery{Queries: make(map[string]aggregate.Query, len(request.Queries)), From: request.From, To: request.To}
	var err error
	if ask.Step, err = aggregate.ParseStep(request.Step); err != nil {
		return HistoryQuery{}, refuse(http.StatusBadRequest, "bad_request", "step: "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(request.Queries)) {
		var q aggregate.Query
		if err := json.Unmarshal(request.Queries[name], &q); err != nil {
			return HistoryQuery{}, refuse(http.StatusBadRequest, "bad_query", name+": "+err.Error())
		}
		q.Step = ask.Step
		ask.Queries[name] = q
	}
	if err := aggregate.ValidateQueries(ask.Queries); err != nil {
		return HistoryQuery{}, refuse(http.StatusBadRequest, "bad_query", err.Error())
	}
	return ask, nil
}
