package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
)

// outsideFlags say which ClickHouse keeps the history in place of the embedded one.
type outsideFlags struct {
	Clickhouse        string `help:"Outside ClickHouse, clickhouse://user:password@host:9000/telltale; several addresses of one server by commas, TLS by ?secure=true. The embedded one when empty." placeholder:"DSN"`
	ClickhouseCA      string `help:"Certificate authority (PEM) of the outside ClickHouse, where this machine does not know it." type:"existingfile" name:"clickhouse-ca" env:"TELLTALE_CLICKHOUSE_CA" placeholder:"FILE"`
	ClickhouseCluster string `help:"Name of the cluster in the configuration of the outside ClickHouse servers over which the history is spread." placeholder:"NAME"`
}

// Validate checks what flags say together.
func (f *outsideFlags) Validate() error {
	if f.Clickhouse == "" && (f.ClickhouseCA != "" || f.ClickhouseCluster != "") {
		return errors.New("--clickhouse-ca and --clickhouse-cluster go with --clickhouse")
	}
	return nil
}

// options is the way to the outside ClickHouse.
func (f *outsideFlags) options(log *slog.Logger) (*clickhouse.Options, error) {
	options, err := parseDSN(f.Clickhouse)
	if err != nil {
		return nil, err
	}
	authorities, err := f.authorities()
	if err != nil {
		return nil, err
	}
	if authorities != nil && options.TLS == nil {
		return nil, errors.New("--clickhouse-ca is given, and --clickhouse does without TLS: add ?secure=true to that")
	}
	if options.TLS != nil {
		options.TLS.MinVersion, options.TLS.RootCAs = tls.VersionTLS12, authorities
	}
	if f.ClickhouseCluster == "" {
		history.OneServer(options, log)
	}
	return options, nil
}

// authorities are those of --clickhouse-ca; nil: this machine's.
func (f *outsideFlags) authorities() (*x509.CertPool, error) {
	if f.ClickhouseCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(f.ClickhouseCA)
	if err != nil {
		return nil, fmt.Errorf("--clickhouse-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--clickhouse-ca: %s has no certificate in PEM form", f.ClickhouseCA)
	}
	return pool, nil
}

// parseDSN reads the address of a ClickHouse.
func parseDSN(dsn string) (*clickhouse.Options, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("--clickhouse: %w", err)
	}
	if options.Protocol != clickhouse.Native {
		return nil, errors.New("--clickhouse: give the native protocol's address, clickhouse://user:password@host:9000/telltale")
	}
	if options.Auth.Database == "" {
		options.Auth.Database = engine.Database
	}
	return options, nil
}
