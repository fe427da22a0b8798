package history

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Codes of an SQLError, beside CodeBusy and CodeAway.
const (
	CodeBadSQL    = "bad_sql"   // ClickHouse does not understand it, or cannot compute it
	CodeForbidden = "forbidden" // analysts may only read, and only the views
	CodeSQLLimit  = "sql_limit" // it costs more than an analyst may spend
)

// SQLError is ClickHouse's refusal of a statement.
type SQLError struct {
	Code      string // one of these, CodeBusy or CodeAway
	Message   string // ClickHouse's own words, and the remedy where we know one
	Exception int    // ClickHouse's code
}

func (e *SQLError) Error() string { return e.Code + ": " + e.Message }

// sqlRemedies are for the exceptions that mean a limit; the others are the statement's.
var sqlRemedies = map[int]struct{ code, remedy string }{
	76:  {CodeForbidden, "analysts read no files"},
	158: {CodeSQLLimit, "read fewer rows: ask for a shorter range or fewer metrics"},
	159: {CodeSQLLimit, "ask for a shorter range or a coarser tier, or add SETTINGS max_execution_time = 60"},
	160: {CodeSQLLimit, "ask for a shorter range or a coarser tier"},
	164: {CodeForbidden, "analysts read; they do not write"},
	202: {CodeBusy, "run it again when others have ended"},
	241: {CodeSQLLimit, "group by less, or ask for a shorter range or a coarser tier"},
	279: {CodeAway, "a shard of the history does not answer: run it again when it is back"},
	307: {CodeSQLLimit, "ask for a shorter range or fewer columns"},
	396: {CodeSQLLimit, "add a LIMIT, group the rows, or add SETTINGS max_result_rows = 10000000, max_result_bytes = 1073741824"},
	452: {CodeForbidden, "this setting has a limit for analysts"},
	497: {CodeForbidden, "analysts read the views of the database telltale, and nothing else"},
}

const maxSQLErrorBytes = 8 << 10

var exceptionText = regexp.MustCompile(`(?s)^Code: \d+\. DB::Exception: (.*?)(?: \(version [^)]*\))?\s*$`)

// readSQLError makes ClickHouse's answer an error.
func readSQLError(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSQLErrorBytes))
	code, codeErr := strconv.Atoi(answer.Header.Get("X-ClickHouse-Exception-Code"))
	if err != nil || codeErr != nil {
		return fmt.Errorf("run SQL: ClickHouse answers %s: %.200q", answer.Status, text)
	}
	message := strings.TrimSpace(string(text))
	if found := exceptionText.FindStringSubmatch(message); found != nil {
		message = found[1]
	}
	if code == exceptionWrongPassword {
		return fmt.Errorf("run SQL: ClickHouse does not know the analysts' user or password: %s", message)
	}
	known, isLimit := sqlRemedies[code]
	if !isLimit {
		return &SQLError{CodeBadSQL, message, code}
	}
	return &SQLError{known.code, message + ": " + known.remedy, code}
}

// exceptionWrongPassword is ClickHouse's code of a sign-in that failed.
const exceptionWrongPassword = 516
