package dashboard

import (
	"embed"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"telltale/aggregate"
)

//go:embed definitions/*.yaml
var definitions embed.FS

// boards is the built-in dashboards by id.
type boards map[string]definition

// loadBoards reads the definitions. An error is a mistake in one of them, and says where.
func loadBoards() (boards, error) {
	files, err := definitions.ReadDir("definitions")
	if err != nil {
		return nil, fmt.Errorf("list dashboards: %w", err)
	}
	all := boards{}
	for _, f := range files {
		text, err := definitions.ReadFile(path.Join("definitions", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read dashboard: %w", err)
		}
		id := strings.TrimSuffix(f.Name(), ".yaml")
		if all[id], err = parseDefinition(id, text); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", f.Name(), err)
		}
	}
	return all, nil
}

// resolve returns a dashboard with its variable filled in, which param gives by name.
func (b boards) resolve(id string, param func(name string, fallback ...string) string) (definition, error) {
	d, known := b[id]
	if !known {
		return d, refuse(http.StatusNotFound, "unknown_dashboard", fmt.Sprintf("there is no dashboard %q", id))
	}
	if d.Variable == "" {
		return d, nil
	}
	value := param(d.Variable)
	switch {
	case value == "":
		return d, refuse(http.StatusBadRequest, "missing_variable", fmt.Sprintf("dashboard %q needs %s: add ?%s=...", id, d.Variable, d.Variable))
	case len(value) > maxVariableBytes || !utf8.ValidString(value):
		return d, refuse(http.StatusBadRequest, "bad_variable", fmt.Sprintf("%s takes at most %d bytes of UTF-8", d.Variable, maxVariableBytes))
	}
	return d.bound(value), nil
}

// maxVariableBytes is how long a label's value may be at the agents' door.
const maxVariableBytes = 1024

// bound returns the dashboard of the series whose label, the variable, has the value. The value
// is compared, never read as text of a query.
func (d definition) bound(value string) definition {
	m := aggregate.Matcher{Label: d.Variable, Op: aggregate.Equal, Value: value}
	queries := make(map[string]aggregate.Query, len(d.Queries))
	for name, q := range d.Queries {
		// Whether history is behind is the hub's to tell, of all.
		if ofHub := d.Storage != nil && name == d.Storage.Behind; q.Expr == "" && !ofHub {
			q.Where = append(slices.Clone(q.Where), m)
			q = q.Normal()
		}
		queries[name] = q
	}
	d.Queries = queries
	return d
}

func (a *App) dashboard(c *fiber.Ctx) error {
	d, err := a.boards.resolve(c.Params("id"), c.Query)
	if err != nil {
		return err
	}
	return c.JSON(d)
}
