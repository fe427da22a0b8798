package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"telltale/dashboard/store"
)

// Analysts runs SQL over the history. Its methods are called from many goroutines.
type Analysts interface {
	// Run runs one statement; its result must be closed, and ends when it is or when ctx does. An *SQLError says what
	// the asker must change; a *LimitError, what to wait for.
	Run(ctx context.Context, statement SQL) (*SQLResult, error)
}

// SQL is a statement to run.
type SQL struct {
	Asker      string // the user or the token that asks, for limits of its own
	Text       string
	Format     string            // as ClickHouse names it; a FORMAT in the text wins
	Parameters map[string]string // values of {name:Type} in the text
}

// SQLResult is a result as it comes.
type SQLResult struct {
	ContentType string
	Body        io.ReadCloser // ends with an error other than io.EOF where the result is not whole
}

// SQLError is a refusal of a statement.
type SQLError struct{ Code, Message string }

func (e *SQLError) Error() string { return e.Code + ": " + e.Message }

// sqlFormat is one that results come in.
type sqlFormat struct{ name, media, clickhouse string }

// sqlFormats are by their name in ?format= and their media type in Accept, the first by default.
var sqlFormats = []sqlFormat{
	{"json", "application/json", "JSON"},
	{"ndjson", "application/x-ndjson", "JSONEachRow"},
	{"csv", "text/csv", "CSVWithNames"},
	{"tsv", "text/tab-separated-values", "TabSeparatedWithNames"},
	{"parquet", "application/vnd.apache.parquet", "Parquet"},
	{"arrow", "application/vnd.apache.arrow.stream", "ArrowStream"},
}

const maxSQLBytes = 256 << 10

// sql runs the SQL in the body and sends its result as it comes.
func (a *App) sql(c *fiber.Ctx) error {
	statement, err := parseSQL(c)
	if err != nil {
		return err
	}
	// The result outlives the handler, and so does its context.
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.UserContext()))
	left := watchClient(c.Context().Conn(), cancel)
	result, err := a.Analysts.Run(ctx, statement)
	if err != nil {
		left()
		cancel()
		return sqlError(err)
	}
	c.Set(fiber.HeaderContentType, result.ContentType)
	c.Context().SetBodyStream(&sqlBody{result.Body, c.Context().Conn(), func() { left(); cancel() }}, -1)
	return nil
}

// parseSQL reads the statement, ?format= or Accept, and ?param_name=value.
func parseSQL(c *fiber.Ctx) (SQL, error) {
	body := c.BodyRaw()
	switch {
	case c.Get(fiber.HeaderContentEncoding) != "":
		return SQL{}, refuse(http.StatusUnsupportedMediaType, "compressed", "send the body uncompressed")
	case len(strings.TrimSpace(string(body))) == 0:
		return SQL{}, refuse(http.StatusBadRequest, "bad_request", "send the SQL as the body")
	case len(body) > maxSQLBytes:
		return SQL{}, refuse(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("a statement takes at most %d bytes: shorten it, for example by WHERE conditions in place of lists", maxSQLBytes))
	}
	f, err := chooseFormat(c)
	if err != nil {
		return SQL{}, err
	}
	parameters := map[string]string{}
	for name, value := range c.Queries() {
		if name, is := strings.CutPrefix(name, "param_"); is {
			parameters[name] = value
		}
	}
	asker, _ := c.Locals(askerKey).(string)
	return SQL{Asker: asker, Text: string(body), Format: f.clickhouse, Parameters: parameters}, nil
}

func chooseFormat(c *fiber.Ctx) (sqlFormat, error) {
	if name := c.Query("format"); name != "" {
		i := slices.IndexFunc(sqlFormats, func(f sqlFormat) bool { return f.name == name })
		if i < 0 {
			return sqlFormat{}, refuse(http.StatusBadRequest, "bad_format", fmt.Sprintf("unknown format %.20q: use one of %s", name, formatNames()))
		}
		return sqlFormats[i], nil
	}
	for accepted := range strings.SplitSeq(c.Get(fiber.HeaderAccept), ",") {
		media, _, _ := mime.ParseMediaType(accepted)
		for _, f := range sqlFormats {
			if f.media == media {
				return f, nil
			}
		}
	}
	return sqlFormats[0], nil
}

func formatNames() string {
	names := make([]string, len(sqlFormats))
	for i, f := range sqlFormats {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

func sqlError(err error) error {
	var wrong *SQLError
	var limit *LimitError
	switch {
	case errors.As(err, &wrong) && wrong.Code == "forbidden":
		return refuse(http.StatusForbidden, wrong.Code, wrong.Message)
	case errors.As(err, &wrong) && (wrong.Code == "busy" || wrong.Code == "away"):
		return &apiError{http.StatusServiceUnavailable, wrong.Code, wrong.Message, err}
	case errors.As(err, &wrong):
		return refuse(http.StatusBadRequest, wrong.Code, wrong.Message)
	case errors.As(err, &limit):
		return &apiError{http.StatusServiceUnavailable, limit.Code, limit.Message, err}
	}
	return historyError(err)
}

// requireAnalyst lets those pass who may ask history anything: admins and analysts, and programs with a query token.
func (a *App) requireAnalyst(c *fiber.Ctx) error {
	if secret, found := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer "); found {
		return a.requireQueryToken(c, secret)
	}
	session, err := a.findAnalyst(c, "run SQL", store.QueryScope)
	if err != nil {
		return err
	}
	c.Locals(askerKey, "user "+session.User.Name)
	return c.Next()
}

// askerKey is where requireAnalyst leaves who asks.
const askerKey = "asker"

// findAnalyst returns the session of an admin or an analyst. A program that wants to do the same needs a token of the scope.
func (a *App) findAnalyst(c *fiber.Ctx, what string, scope store.Scope) (store.Session, error) {
	session, err := a.findSession(c)
	if errors.Is(err, errSignIn) {
		return session, refuse(http.StatusUnauthorized, "unauthorized", fmt.Sprintf(
			"sign in first: POST /api/v1/login; or send a token as 'Authorization: Bearer ...' ('telltale token create --scope %s NAME')", scope))
	}
	if err == nil && session.User.Role != store.Admin && session.User.Role != store.Analyst {
		return session, refuse(http.StatusForbidden, "forbidden", "viewers see dashboards: to "+what+", ask an admin to make you an analyst")
	}
	return session, err
}

// requireReader lets any signed-in user pass, and programs with a query token.
func (a *App) requireReader(c *fiber.Ctx) error {
	if secret, found := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer "); found {
		return a.requireQueryToken(c, secret)
	}
	return a.requireSession(c)
}

func (a *App) requireQueryToken(c *fiber.Ctx, secret string) error {
	token, err := a.Store.Tokens.Verify(secret, store.QueryScope)
	if err != nil {
		return refuse(http.StatusUnauthorized, "unauthorized", "unknown token: make one with 'telltale token create --scope query NAME'")
	}
	c.Locals(askerKey, "token "+token.ID)
	return c.Next()
}

// writeTimeout is how long a client may take no byte of a result.
const writeTimeout = 30 * time.Second
