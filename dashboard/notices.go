package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"telltale/dashboard/store"
)

// maxNoticeBytes is what fits over a page without hiding it.
const maxNoticeBytes = 500

// noticeLevels are in the order of their weight; the first is meant where none is given.
var noticeLevels = []string{"info", "warning", "critical"}

// notice is the data of a notice event.
type notice struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// requireAdmin lets only admins pass.
func requireAdmin(c *fiber.Ctx) error {
	if sessionOf(c).User.Role != store.Admin {
		return refuse(http.StatusForbidden, "admins_only", "only a user with the role admin may do this")
	}
	return c.Next()
}

// notify tells everybody who watches a dashboard, and every agent.
func (a *App) notify(c *fiber.Ctx) error {
	n, err := parseNotice(c.BodyRaw())
	if err != nil {
		return err
	}
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	a.log.Info("notice", "user", sessionOf(c).User.Name, "level", n.Level, "text", n.Text)
	a.topics.tell("notice", data)
	a.NotifyAgents(n.Level, n.Text)
	return c.SendStatus(http.StatusNoContent)
}

func parseNotice(body []byte) (notice, error) {
	n := notice{Level: noticeLevels[0]}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&n); err != nil {
		return n, refuse(http.StatusBadRequest, "bad_request", `send {"text": "...", "level": "info"}: `+err.Error())
	}
	n.Text = strings.TrimSpace(n.Text)
	switch {
	case n.Text == "" || len(n.Text) > maxNoticeBytes || !utf8.ValidString(n.Text) || strings.ContainsFunc(n.Text, unicode.IsControl):
		return n, refuse(http.StatusBadRequest, "bad_notice", fmt.Sprintf("text takes 1 to %d bytes of UTF-8 on one line", maxNoticeBytes))
	case !slices.Contains(noticeLevels, n.Level):
		return n, refuse(http.StatusBadRequest, "bad_notice", "level is one of "+strings.Join(noticeLevels, ", "))
	}
	return n, nil
}
