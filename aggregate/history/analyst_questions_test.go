package history

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// question is a block of SQL of the page for analysts.
type question struct{ heading, sql string }

// readQuestions returns the page's indented blocks that are SQL, statement by statement.
func readQuestions(t *testing.T) (asked, made []question) {
	t.Helper()
	page, err := os.ReadFile("../../docs/analysts.md")
	if err != nil {
		t.Fatal(err)
	}
	heading, block := "", ""
	end := func() {
		for _, sql := range strings.Split(block, ";\n") {
			switch sql = strings.TrimSuffix(strings.TrimSpace(sql), ";"); {
			case strings.HasPrefix(sql, "SELECT "), strings.HasPrefix(sql, "WITH "):
				asked = append(asked, question{heading, sql})
			case strings.HasPrefix(sql, "CREATE "), strings.HasPrefix(sql, "GRANT "):
				made = append(made, question{heading, sql})
			}
		}
		block = ""
	}
	for line := range strings.Lines(string(page)) {
		switch {
		case strings.HasPrefix(line, "    "):
			block += strings.TrimPrefix(line, "    ")
		case strings.TrimSpace(line) == "" && block != "":
			block += "\n"
		default:
			end()
			if title, is := strings.CutPrefix(line, "### "); is {
				heading = strings.TrimSpace(title)
			}
		}
	}
	end()
	return asked, made
}

// TestWhatAnalystsAsk runs all that the page for analysts and the dashboard for Grafana ask, as the analyst, on a history whose
// answers are known.
func TestWhatAnalystsAsk(t *testing.T) {
	s := newAnalystStore(t)
	w := newAnalystWorld(time.Now().UTC())
	w.store(s)
	t.Run("questions", func(t *testing.T) { s.on(t).answerQuestions(w) })
	t.Run("Grafana", func(t *testing.T) { s.on(t).answerGrafana(w) })
	t.Run("functions are refused", func(t *testing.T) { s.on(t).refuseFunctions() })
	t.Run("all else is refused", func(t *testing.T) { s.on(t).refuseElse() })
}

// on reports to another test.
func (s *analystStore) on(t *testing.T) *analystStore {
	other := *s
	store := *s.testStore
	store.t, other.testStore = t, &store
	return &other
}

func (s *analystStore) answerQuestions(w *analystWorld) {
	asked, made := readQuestions(s.t)
	answers := knownAnswers(w)
	seen := map[string]string{}
	for _, q := range asked {
		rows, err := s.ask(q.sql)
		if err != nil {
			s.t.Errorf("%s\n%s\n%v", q.heading, q.sql, err)
			continue
		}
		if rows == "" {
			s.t.Errorf("%s\n%s\nno rows", q.heading, q.sql)
		}
		seen[q.heading] += rows
	}
	for heading, rows := range seen {
		known, has := answers[heading]
		if !has {
			s.t.Errorf("%s: the test knows no answer", heading)
		}
		for _, line := range known {
			if !regexp.MustCompile("(?m)^" + line + "$").MatchString(rows) {
				s.t.Errorf("%s\nno line is %q in\n%.2000s", heading, line, rows)
			}
		}
	}
	for _, heading := range slices.Sorted(maps.Keys(answers)) {
		if _, has := seen[heading]; !has {
			s.t.Errorf("the page does not ask %q", heading)
		}
	}
	for _, q := range made { // users are files here and cannot be made, so their syntax is all that can be seen
		if _, err := s.ask("SELECT formatQuery('" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(q.sql) + "')"); err != nil {
			s.t.Errorf("%s: %v", q.sql, err)
		}
	}
}

// knownAnswers are lines that the answers have, as regular expressions, by the question's heading. Columns are apart by tabs.
func knownAnswers(w *analystWorld) map[string][]string {
	const minute = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`
	p := func(v float64) string { return regexp.QuoteMeta(fmt.Sprint(binOf(v))) }
	gapFrom, _ := w.gap()
	return map[string][]string{
		"Which metrics are there?":                                       {"http.server.request.duration\tdistribution\ts\t3\t1", "system.cpu.utilization\tgauge\t1\t4\t4"},
		"How busy was each host, minute by minute?":                      {minute + "\tdb-1\t0.9"},
		"Which hosts are busiest now, and were they yesterday?":          {"web-1\t0.5\t0.25\t0.25", "db-1\t0.9\\d*\t0.[78]\\d*\t0.(1|09)\\d*"},
		"How many bytes a second did each host receive?":                 {minute + "\tdb-1\teth0\t100"},
		"And over the last month, hour by hour, by region?":              {minute + "\teu\t200", minute + "\tus\t(100|200)"},
		"How long did the slowest hundredth take, by endpoint and hour?": {minute + "\t/checkout\t" + p(0.1) + "\t" + p(2), minute + "\t/search\t" + p(0.05) + "\t" + p(0.05)},
		"And over a whole month?":                                        {"shop\t" + p(0.05) + "\t" + p(0.1) + "\t" + p(0.1) + "\t\\d+"},
		"What share of requests failed?":                                 {"/checkout\t\\d+\t\\d+\t2", "/search\t\\d+\t0\t0"},
		"How are the times spread? (a heatmap)":                          {minute + "\t0.0442\t0.0625\t1500", minute + "\t1.4142\t2\t30"},
		"When will each file system be full?":                            {"db-1\t/\t.*\t1\t(99|100)(\\.\\d)?", "web-1\t/\t.*\t-?0\t\\\\N"},
		"Which processes take most memory, and where?":                   {"postgres\tdb-1\t4000000000\t4000000000", "backup\tdb-1\t100000000\t100000000"},
		"Which hosts are unlike themselves?":                             {"db-1\t0.9\\d*\t0.8\\d*\t0\nweb-1\t0.5\t0.25\t0\n\\z"},
		"When in the week are we busiest?":                               {"[1-7]\t\\d+\t\\d+"},
		"What changed with a deployment?":                                {"/checkout\tbefore\t" + p(0.1) + "\t\\d+", "/search\tafter\t" + p(0.05) + "\t\\d+"},
		"What is missing, beside what is there?": {
			gapFrom.Format(time.DateTime) + "\t0\t300\tspool_full", w.now.Truncate(time.Minute).Add(-50*time.Minute).Format(time.DateTime) + "\t1\t0\t"},
		"What did we lose, all in all?":                    {"spool_full\t1\t300\t300\t" + minute + `\.\d+`},
		"Which agents are silent?":                         {"old-1\t" + minute + `\.\d+` + "\t12\\d"},
		"Which hosts were restarted?":                      {"web-2\t" + minute},
		"Which kernels run where, and whose clock is off?": {"6.1.0\t\\['web-[12]','web-[12]'\\]\t1500", "5.10.0\t\\['old-1'\\]\t\\\\N"},
		"How late is what is stored?":                      {minute + "\t" + p(0.5) + "\t" + p(2) + "\t" + p(2), "too_old\t1[34]\\d\\d"},
		"What are most series of?":                         {"system.filesystem.usage\t8\t8\t4", "region\t2\t\\d+", "http.route\t2\t3"},
		"What does the Overview show for this minute?":     {minute + "\t0.53\\d+\t0.9\tdb-1"},
	}
}

// refuseFunctions: where the hub may not make functions, analysts go without, and the log says what to grant.
func (s *analystStore) refuseFunctions() {
	options, err := clickhouse.ParseDSN(s.addresses.AnalystDSN)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var said bytes.Buffer
	if err := createFunctions(s.t.Context(), conn, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
		s.t.Error(err)
	}
	if !strings.Contains(said.String(), "GRANT CREATE FUNCTION") {
		s.t.Errorf("the log says %q", said.String())
	}
}

// refuseElse tries the ways around the grants: functions of tables and of values, system tables, and other users.
func (s *analystStore) refuseElse() {
	const access, file, option = 497, 76, 452
	for sql, code := range map[string]int{
		"SELECT * FROM progress": access, "SELECT * FROM migrations": access, "SELECT * FROM known_agents": access, "DESCRIBE progress": access,
		"SELECT * FROM mergeTreeIndex('telltale', 'progress')":                    access,
		"SELECT * FROM view(SELECT * FROM telltale.progress)":                     access,
		"SELECT * FROM loop(telltale.progress)":                                   access,
		"SELECT count() FROM merge('telltale', '^progress$')":                     636, // it sees no table of that name
		"SELECT * FROM file('../engine.json', 'LineAsString')":                    access,
		"SELECT * FROM filesystem('/')":                                           access,
		"SELECT * FROM icebergLocal('/etc')":                                      access,
		"SELECT * FROM executable('cat /etc/passwd', 'LineAsString', 'x String')": access,
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')":                access,
		"SELECT * FROM remote('127.0.0.1:1', system.one)":                         access,
		"SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV')":                access,
		"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')":                  access,
		"SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')":             access,
		"SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')":                     access,
		"INSERT INTO FUNCTION file('/tmp/x', 'CSV') SELECT 1":                     access,
		"INSERT INTO FUNCTION url('http://127.0.0.1:1/', 'CSV') SELECT 1":         access,
		"SELECT file('/etc/passwd')":                                              file,
		"SELECT file('../engine.json')":                                           file, // in which the writer's password is
		fmt.Sprintf("SELECT file('/proc/%d/environ')", os.Getpid()):               file, // as a hub's may have an admin's
		fmt.Sprintf("SELECT file('/proc/%d/cmdline')", os.Getpid()):               file,
		"SELECT file('/proc/self/root/etc/passwd')":                               file,
		"SELECT * FROM system.users":                                              access,
		"SELECT * FROM system.processes":                                          access, // others' statements
		"SELECT * FROM system.server_settings":                                    access,
		"SELECT * FROM system.parts":                                              access,
		"SELECT * FROM system.backups":                                            access,
		"SELECT * FROM system.named_collections":                                  access,
		"SHOW CREATE USER telltale":                                               access,
		"SHOW GRANTS FOR telltale":                                                access,
		"CREATE FUNCTION f AS x -> x":                                             access,
		"DROP FUNCTION telltale_percentile":                                       access,
		"CREATE VIEW v AS SELECT 1":                                               access,
		"BACKUP DATABASE telltale TO File('x')":                                   access,
		"TRUNCATE TABLE raw":                                                      access,
		"SELECT 1 SETTINGS readonly = 0":                                          164,
		"SELECT 1 SETTINGS max_memory_usage_for_user = 1":                         option,
	} {
		_, err := s.ask(sql)
		var refused *SQLError
		if !errors.As(err, &refused) || refused.Exception != code {
			s.t.Errorf("%s: %v, want code %d", sql, err, code)
		}
	}
	for sql, want := range map[string]string{
		"SELECT name FROM system.databases WHERE name NOT IN ('telltale', 'system', 'default') AND lower(name) != 'information_schema'": "",
		"SELECT name FROM system.tables WHERE database = 'telltale' AND name IN ('progress', 'migrations', 'known_agents')":             "",
		"SELECT countSubstrings(file('/proc/self/environ'), 'TELLTALE')":                                                                "0\n",
	} {
		if got, err := s.ask(sql); err != nil || got != want {
			s.t.Errorf("%s: %q, %v, want %q", sql, got, err, want)
		}
	}
}
