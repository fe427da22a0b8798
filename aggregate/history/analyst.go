package history

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// analystTimeout bounds a statement with the sending of its result. ClickHouse ends the statement itself sooner.
const analystTimeout = 5 * time.Minute

// Analyst runs the SQL of analysts in ClickHouse, over its HTTP interface, as a user who may read the views and
// nothing else: what the user may do, and at what cost, is ClickHouse's to enforce. ClickHouse makes the formats as well.
type Analyst struct {
	address url.URL // of the HTTP interface, without the user
	user    *url.Userinfo
	client  *http.Client
	turns   *analystTurns
	metrics *analystMetrics
}

type analystMetrics struct{ statements, failed prometheus.Counter }

// NewAnalyst returns an Analyst for an address such as http://analyst:password@127.0.0.1:8123/telltale, whose path
// names the database.
func NewAnalyst(address string, reg prometheus.Registerer) (*Analyst, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User == nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("the analysts' address: give http://user:password@host:8123/telltale, that of ClickHouse's HTTP interface")
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "telltale_sql_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	database := strings.TrimPrefix(u.Path, "/")
	return &Analyst{
		address: url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/", RawQuery: url.Values{"database": {database}}.Encode()},
		user:    u.User,
		// Compression would only cost: the server is near, and whoever is far away is behind a proxy.
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConns: maxAnalystReads}},
		turns:  newAnalystTurns(counter("refused_total", "Statements of analysts refused because others were running.")),
		metrics: &analystMetrics{
			statements: counter("statements_total", "Statements of analysts that were run."),
			failed:     counter("failed_total", "Statements of analysts that ClickHouse refused or gave up."),
		},
	}, nil
}

// Trust has the server's certificate come from one of these authorities, in place of this machine's. Call it before Run.
func (a *Analyst) Trust(authorities *x509.CertPool) {
	a.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
}

// Close ends idle connections.
func (a *Analyst) Close() { a.client.CloseIdleConnections() }

// Result is what a statement gives, as it comes.
type Result struct {
	ContentType string

	// Body ends with an error other than io.EOF where ClickHouse gave up half way; why stands at its end. Closing it
	// early ends the statement.
	Body io.ReadCloser
}

// Run runs one statement of an asker, a user or a program, in a format as ClickHouse names it, unless the statement names another;
// parameters are the values of {name:Type} in it. The result must be closed; the statement ends in ClickHouse when it is, or when ctx ends. Errors that lie with the
// statement are *SQLError.
func (a *Analyst) Run(ctx context.Context, asker, sql, format string, parameters map[string]string) (*Result, error) {
	giveBack, err := a.turns.take(ctx, asker)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, analystTimeout)
	end := func() {
		cancel()
		giveBack()
	}
	a.metrics.statements.Inc()
	result, err := a.send(ctx, sql, format, parameters)
	if err != nil {
		a.metrics.failed.Inc()
		end()
		return nil, err
	}
	result.Body = &resultBody{result.Body, end}
	return result, nil
}

func (a *Analyst) send(ctx context.Context, sql, format string, parameters map[string]string) (*Result, error) {
	address := a.address
	values := address.Query()
	values.Set("default_format", format)
	values.Set("cancel_http_readonly_queries_on_client_close", "1")
	values.Set("output_format_arrow_compression_method", "none") // not every reader of Arrow can decompress: JavaScript's cannot
	for name, value := range parameters {
		values.Set("param_"+name, value)
	}
	address.RawQuery = values.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(sql))
	if err != nil {
		return nil, fmt.Errorf("run SQL: %w", err)
	}
	password, _ := a.user.Password()
	request.SetBasicAuth(a.user.Username(), password)
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("run SQL: %w", withoutAddress(err))
	}
	if answer.StatusCode != http.StatusOK {
		defer func() { _ = answer.Body.Close() }()
		return nil, readSQLError(answer)
	}
	return &Result{ContentType: answer.Header.Get("Content-Type"), Body: answer.Body}, nil
}

// withoutAddress keeps parameters out of the log: they are the analyst's own affair.
func withoutAddress(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

type resultBody struct {
	io.ReadCloser
	end func()
}

// Close ends the statement. It must be called once.
func (b *resultBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
