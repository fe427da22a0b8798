package history

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.yaml.in/yaml/v3"
)

const grafanaExample = "../../docs/examples/grafana"

// grafanaTarget is where a panel, a variable or an annotation has its statement.
type grafanaTarget struct {
	RefID  string `json:"refId"`
	Format int    // 0: a series of times, 1: a table
	RawSQL string `json:"rawSql"`
}

type grafanaDashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []struct {
		ID          int
		Title, Type string
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ Type, UID string }
		Targets     []grafanaTarget
	}
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage // of a variable that is asked for, a grafanaTarget
		}
	}
	Annotations struct {
		List []struct {
			Name   string
			Target grafanaTarget
		}
	}
}

// grafana puts in place of variables and macros what Grafana and the plugin put there, and runs the statement as they do.
type grafana struct {
	from, to time.Time
	interval time.Duration
	hosts    []string // chosen; none: all
}

var (
	conditionalAll = regexp.MustCompile(`\$__conditionalAll\((.*?\)), \$host\)`)
	grafanaMacro   = regexp.MustCompile(`\$__(\w+)`)
)

// expand refuses a macro that the plugin does not have, and one whose arguments it might find further on: a version of the
// plugin takes the next opening parenthesis for the macro's own where no closing one comes first.
func (g grafana) expand(sql string) (string, error) {
	sql = conditionalAll.ReplaceAllStringFunc(sql, func(found string) string {
		if g.hosts == nil {
			return "1=1"
		}
		return conditionalAll.FindStringSubmatch(found)[1]
	})
	sql = strings.ReplaceAll(sql, "${host:singlequote}", "'"+strings.Join(g.hosts, "','")+"'")
	macros := map[string]string{
		"fromTime":   fmt.Sprintf("toDateTime(%d)", g.from.Unix()),
		"toTime":     fmt.Sprintf("toDateTime(%d)", g.to.Unix()),
		"interval_s": strconv.Itoa(int(max(g.interval, time.Second).Seconds())),
	}
	for _, at := range grafanaMacro.FindAllStringSubmatchIndex(sql, -1) {
		name, rest := sql[at[2]:at[3]], sql[at[1]:]
		if _, known := macros[name]; !known {
			return "", fmt.Errorf("the macro $__%s in %s is not known here", name, sql)
		}
		if next := strings.IndexAny(rest, "()"); next >= 0 && rest[next] == '(' {
			return "", fmt.Errorf("an opening parenthesis follows $__%s in %s", name, sql)
		}
	}
	sql = grafanaMacro.ReplaceAllStringFunc(sql, func(found string) string { return macros[found[len("$__"):]] })
	if strings.Contains(sql, "$") {
		return "", fmt.Errorf("a variable is left in %s", sql)
	}
	return sql, nil
}

func (s *analystStore) answerGrafana(w *analystWorld) {
	dashboard := readDashboard(s.t)
	statements := map[string]grafanaTarget{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			statements["panel "+p.Title] = target
		}
		if p.Datasource.UID != "${datasource}" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 {
			s.t.Errorf("panel %s: data source %s, place %+v", p.Title, p.Datasource.UID, p.GridPos)
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			var target grafanaTarget
			if err := json.Unmarshal(v.Query, &target); err != nil {
				s.t.Fatal(err)
			}
			target.Format = 1
			statements["variable "+v.Name] = target
		}
	}
	for _, a := range dashboard.Annotations.List {
		statements["annotation "+a.Name] = a.Target
	}
	if len(statements) < 12 {
		s.t.Errorf("there are %d statements", len(statements))
	}
	for name, options := range s.grafanaSources() {
		for _, g := range []grafana{
			{w.now.Add(-6 * time.Hour), w.now, 15 * time.Second, nil},
			{w.now.AddDate(0, 0, -30), w.now, time.Hour, []string{"web-1", "web-2"}},
		} {
			s.askGrafana(name, options, g, statements)
		}
	}
}

// askGrafana runs the statements by database/sql with a deadline, as the plugin does.
func (s *analystStore) askGrafana(source string, options *clickhouse.Options, g grafana, statements map[string]grafanaTarget) {
	s.t.Helper()
	db := clickhouse.OpenDB(options)
	defer func() { _ = db.Close() }()
	for name, target := range statements {
		sql, err := g.expand(target.RawSQL)
		if err != nil {
			s.t.Error(err)
			continue
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), options.ReadTimeout)
		rows, err := db.QueryContext(ctx, sql)
		if err != nil {
			cancel()
			s.t.Errorf("%s, %s: %v", source, name, err)
			continue
		}
		columns, err := rows.Columns()
		if err != nil {
			s.t.Error(err)
		}
		found := 0
		for rows.Next() {
			found++
		}
		if err := rows.Err(); err != nil || found == 0 {
			s.t.Errorf("%s, %s: %d rows, %v, of\n%s", source, name, found, err, sql)
		}
		if target.Format == 0 && (len(columns) != 3 || columns[0] != "time") {
			s.t.Errorf("%s: a series of times has the columns %v, want time, a name and a value", name, columns)
		}
		_ = rows.Close()
		cancel()
	}
}

func readDashboard(t *testing.T) (d grafanaDashboard) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(grafanaExample, "hosts.json"))
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil || d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Fatalf("the dashboard is %+v: %v", d, err)
	}
	return d
}

// grafanaSource is a provisioned data source.
type grafanaSource struct {
	Name, Type string
	JSONData   struct {
		Host, Protocol, Username string
		Port                     int
		Secure                   bool
		DefaultDatabase          string `yaml:"defaultDatabase"`
		QueryTimeout             string `yaml:"queryTimeout"` // seconds
	} `yaml:"jsonData"`
	SecureJSONData struct{ Password string } `yaml:"secureJsonData"`
}

// grafanaSources are the provisioned data sources by name, as the plugin makes options of them. That of an outside server is taken
// as it stands but for TLS, which the engine does not have, and its port.
func (s *analystStore) grafanaSources() map[string]*clickhouse.Options {
	s.t.Helper()
	address, err := url.Parse(s.addresses.HTTP)
	if err != nil {
		s.t.Fatal(err)
	}
	host, native, _ := strings.Cut(s.addresses.TCP, ":")
	text, err := os.ReadFile(filepath.Join(grafanaExample, "provisioning/datasources/telltale.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	variables := map[string]string{
		"TELLTALE_CLICKHOUSE_PORT": address.Port(), "TELLTALE_CLICKHOUSE_HOST": host, "TELLTALE_ANALYST_PASSWORD": s.addresses.AnalystPassword, "NAME": "",
	}
	var file struct{ Datasources []grafanaSource }
	if err := yaml.Unmarshal([]byte(os.Expand(string(text), func(name string) string { return variables[name] })), &file); err != nil {
		s.t.Fatal(err)
	}
	sources := map[string]*clickhouse.Options{}
	for _, source := range file.Datasources {
		port, protocol, compression := strconv.Itoa(source.JSONData.Port), clickhouse.HTTP, clickhouse.CompressionGZIP
		if source.JSONData.Protocol == "native" {
			port, protocol, compression = native, clickhouse.Native, clickhouse.CompressionLZ4
		}
		timeout, err := strconv.Atoi(source.JSONData.QueryTimeout)
		if err != nil || source.Type != "grafana-clickhouse-datasource" {
			s.t.Fatalf("data source %+v: %v", source, err)
		}
		sources[source.Name] = &clickhouse.Options{
			Addr:        []string{source.JSONData.Host + ":" + port},
			Auth:        clickhouse.Auth{Database: source.JSONData.DefaultDatabase, Username: source.JSONData.Username, Password: source.SecureJSONData.Password},
			Compression: &clickhouse.Compression{Method: compression},
			Protocol:    protocol,
			ReadTimeout: time.Duration(timeout) * time.Second,
		}
	}
	if len(sources) != 2 {
		s.t.Fatalf("there are %d data sources, want one for each way", len(sources))
	}
	return sources
}
