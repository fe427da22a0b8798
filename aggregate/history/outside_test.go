package history

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
	"telltale/aggregate/engine/enginetest"
)

// outsideServer is a second engine whose operator has made a user for a hub, with the grants of docs/operations.md.
type outsideServer struct{ tcp, http string }

const outsideUser, outsidePassword = "telltale", "p:w/d@1"

func startOutside(t *testing.T) outsideServer {
	t.Helper()
	// The engine signs in as the hub's user when it starts, with what it takes for its password.
	e := enginetest.Own{TCPPort: enginetest.FreePort(t), Password: outsidePassword, Config: map[string]string{
		"users.d/hub.xml": hubUser(outsidePassword, documentedGrants(t)),
		"users.d/reader.xml": `<clickhouse><users><reader>
			<password>of a reader</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
			<grants><query>GRANT SELECT ON telltale.*</query></grants></reader></users></clickhouse>`,
	}}.Start(t, t.TempDir())
	return outsideServer{e.Addresses().TCP, strings.TrimPrefix(e.Addresses().HTTP, "http://")}
}

// hubUser is the configuration of a user with these rights and no more.
func hubUser(password string, grants []string) string {
	return fmt.Sprintf(`<clickhouse><users><%[1]s replace="1">
		<password>%[2]s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
		<grants><query>%[3]s</query></grants></%[1]s></users></clickhouse>`, outsideUser, password, strings.Join(grants, "</query><query>"))
}

// documentedGrants are those that operations.md tells an operator to give the hub's user, there and in further sections.
func documentedGrants(t *testing.T, sections ...string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var grants []string
	for _, section := range append([]string{"## ClickHouse of your own"}, sections...) {
		_, rest, found := strings.Cut(string(text), "\n"+section+"\n")
		part, _, _ := strings.Cut(rest, "\n##")
		granted := regexp.MustCompile(`(?m)^ {4}(GRANT .* ON .*) TO telltale;$`).FindAllStringSubmatch(part, -1)
		if !found || len(granted) == 0 {
			t.Fatalf("docs/operations.md names no grants for the user telltale under %q", section)
		}
		for _, grant := range granted {
			grants = append(grants, grant[1])
		}
	}
	return grants
}

func (o outsideServer) options() *clickhouse.Options {
	return &clickhouse.Options{
		Addr: []string{o.tcp}, Auth: clickhouse.Auth{Database: "telltale", Username: outsideUser, Password: outsidePassword},
		DialTimeout: 5 * time.Second,
	}
}

// trusting are options for TLS with one authority.
func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

func TestAnOutsideServerIsReachedOrItIsSaidWhyNot(t *testing.T) {
	o := startOutside(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	secure := enginetest.TLS(t, o.tcp, "127.0.0.1", tomorrow)
	renamed := enginetest.TLS(t, o.tcp, "db.example.com", tomorrow)
	expired := enginetest.TLS(t, o.tcp, "127.0.0.1", time.Now().Add(-time.Hour))
	closed := fmt.Sprintf("127.0.0.1:%d", enginetest.FreePort(t))

	f := func(name string, change func(*clickhouse.Options), complaint string) {
		t.Helper()
		options := o.options()
		change(options)
		err := Migrate(t.Context(), options, slog.New(slog.DiscardHandler))
		switch {
		case complaint == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)):
			t.Errorf("%s: the error is %v, want %q in it", name, err, complaint)
		case err != nil && strings.Contains(err.Error(), options.Auth.Password):
			t.Errorf("%s: the error has the password in it: %v", name, err)
		}
	}
	at := func(address string, config *tls.Config) func(*clickhouse.Options) {
		return func(o *clickhouse.Options) { o.Addr, o.TLS = []string{address}, config }
	}
	as := func(user, password string) func(*clickhouse.Options) {
		return func(o *clickhouse.Options) { o.Auth.Username, o.Auth.Password = user, password }
	}
	f("as it should be", func(*clickhouse.Options) {}, "")
	f("another password", as(outsideUser, "another"), `the user "telltale" or its password is refused`)
	f("another user", as("nobody", "another"), `the user "nobody" or its password is refused`)
	f("a user without rights", as("reader", "of a reader"), "docs/operations.md lists the grants")
	f("nobody there", at(closed, nil), "nobody answers there")
	f("the port of HTTP", at(o.http, nil), "this is the port of HTTP")
	f("no name", at("no-such-host.invalid:9000", nil), "nobody answers there")

	f("TLS", at(secure.Address, trusting(t, secure.CAFile)), "")
	f("TLS, unchecked", at(renamed.Address, &tls.Config{InsecureSkipVerify: true}), "")
	f("TLS, of an unknown authority", at(secure.Address, &tls.Config{MinVersion: tls.VersionTLS12}), "--clickhouse-ca FILE")
	f("TLS, for another name", at(renamed.Address, trusting(t, renamed.CAFile)), "tls_server_name=NAME")
	named := trusting(t, renamed.CAFile)
	named.ServerName = "db.example.com"
	f("TLS, for a name that is told", at(renamed.Address, named), "")
	f("TLS, expired", at(expired.Address, trusting(t, expired.CAFile)), "renew it")
	f("TLS where there is none", at(o.tcp, trusting(t, secure.CAFile)), "does not speak TLS")
	f("no TLS where there is", at(secure.Address, nil), "add secure=true")
}

// All that a hub does works with the grants that are documented, by TLS, and with a doubt to settle.
func TestAnOutsideServerKeepsAHistory(t *testing.T) {
	o := startOutside(t)
	secure := enginetest.TLS(t, o.tcp, "127.0.0.1", time.Now().Add(24*time.Hour))
	options := o.options()
	options.Addr, options.TLS = []string{secure.Address}, trusting(t, secure.CAFile)
	s := storeAt(t, options)
	h := s.startHub(Config{BlockInterval: 20 * time.Millisecond, MinFreeBytes: 1})
	h.admit("web-1")
	h.push("web-1", "e1", 1, 30)
	waitFor(t, "the acknowledgement", func() bool { return h.ackedSeq("web-1", "e1") == 30 })
	s.slowRows()
	h.push("web-1", "e1", 31, 50)
	s.awaitRunning()
	h.crash()
	s.fastRows()
	h = s.startHub(Config{BlockInterval: 20 * time.Millisecond, MinFreeBytes: 1})
	h.push("web-1", "e1", h.admit("web-1")["e1"]+1, 50)
	waitFor(t, "the rest", func() bool { return h.writer.agentDone("web-1") })
	s.assertExactlyOnce("web-1", "e1", 50)

	first := time.UnixMilli(baseTS)
	err := Rebuild(t.Context(), options, first, first.Add(time.Hour), func(RebuildProgress) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.verify(first.Add(time.Hour)) {
		t.Error(d)
	}
	h.writer.checkDisk(t.Context())
	if err := h.writer.dropBefore(t.Context(), h.writer.cfg.kept()[0], time.Now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	assertReads(t, options, 50)
}

// assertReads asks as the product does: so many samples, the last of them of the same value.
func assertReads(t *testing.T, options *clickhouse.Options, samples float64) {
	t.Helper()
	r, err := NewReader(options, ReaderConfig{}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	q := aggregate.Query{Metric: "test.value", Over: aggregate.Max, Agg: aggregate.AggMax}
	answer, err := r.Query(context.Background(), Request{
		Queries: map[string]aggregate.Query{"q": q}, From: floorTo(baseTS, 3_600_000), To: floorTo(baseTS, 3_600_000) + 3_600_000, Step: aggregate.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Results["q"].Values; len(got) != 1 || got[0][0] != samples {
		t.Errorf("the newest value is %v, want %v", got, samples)
	}
}
