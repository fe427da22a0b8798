package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"
)

type serveCommand struct {
	storeFlags        `embed:""`
	outsideFlags      `embed:""`
	Listen            string        `help:"Address to serve on." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	ClickhouseAnalyst string        `help:"HTTP address of the outside ClickHouse for analysts, with a user who may only read, http://user:password@host:8123/telltale; for the embedded one it is known." placeholder:"URL"`
	Engine            string        `help:"The embedded ClickHouse: its library, its program, or a folder with either." type:"path" placeholder:"PATH"`
	EngineMemory      int64         `help:"Most memory the embedded ClickHouse takes, in bytes; 0: 2 GiB, or 40 % of the machine's where that is less." placeholder:"BYTES"`
	PublicURL         string        `help:"Address browsers use when a proxy stands in front, https://telltale.example.com." name:"public-url" placeholder:"URL"`
	TrustedProxies    []string      `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." placeholder:"CIDR,..."`
	TLSCert           string        `help:"Certificate (PEM) for TLS on the hub's own port." type:"existingfile" name:"tls-cert" placeholder:"FILE"`
	TLSKey            string        `help:"Its private key." type:"existingfile" name:"tls-key" placeholder:"FILE"`
	Insecure          bool          `help:"Serve plain HTTP on another address than loopback: passwords and tokens pass in the clear."`
	MaxUnstored       int64         `help:"Bound on samples received and not yet stored, in bytes." default:"536870912" placeholder:"BYTES"`
	MaxSeries         int           `help:"Most series at a time; samples of further ones are refused. A series takes about 1 KB." default:"2000000"`
	MaxAgentSeries    int           `help:"The same for the series of one agent." default:"20000" name:"max-series-per-agent"`
	RetentionRaw      time.Duration `help:"How long raw samples are kept, at least; whole days are dropped." default:"72h"`
	Retention10s      time.Duration `help:"How long sums of 10 s are kept, at least; whole days are dropped." name:"retention-10s" env:"TELLTALE_RETENTION_10S" default:"336h"`
	Retention1m       time.Duration `help:"How long sums of 1 m are kept, at least; whole weeks are dropped." name:"retention-1m" env:"TELLTALE_RETENTION_1M" default:"2160h"`
	Retention1h       time.Duration `help:"How long sums of 1 h are kept, at least; whole months are dropped." name:"retention-1h" env:"TELLTALE_RETENTION_1H" default:"17520h"`
	MinFree           int64         `help:"With less room on ClickHouse's disk, in bytes, nothing more is stored; dashboards stay live." default:"1073741824" placeholder:"BYTES"`
	MaxViewers        int           `help:"Most event streams open at once; who comes next is asked to come back later." default:"16000"`
	MaxPerUser        int           `help:"The same for the streams of one user." default:"1000" name:"max-viewers-per-user"`
	StopTimeout       time.Duration `help:"How long an orderly stop may take." default:"20s"`
	LogLevel          string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat         string        `help:"text or json." enum:"text,json" default:"text"`
}

// Validate checks what flags say together.
func (c *serveCommand) Validate() error {
	if err := c.outsideFlags.Validate(); err != nil {
		return err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if c.MaxUnstored < 1<<20 {
		return fmt.Errorf("--max-unstored=%d: give at least %d bytes", c.MaxUnstored, 1<<20)
	}
	if c.RetentionRaw < time.Hour {
		return fmt.Errorf("--retention-raw=%v: give at least 1h", c.RetentionRaw)
	}
	if c.Retention10s < c.RetentionRaw || c.Retention1m < c.Retention10s || c.Retention1h < c.Retention1m {
		return fmt.Errorf("--retention-raw=%v --retention-10s=%v --retention-1m=%v --retention-1h=%v: each is summed up from the one before, so give at least as much",
			c.RetentionRaw, c.Retention10s, c.Retention1m, c.Retention1h)
	}
	if c.MaxViewers < 1 || c.MaxPerUser < 1 {
		return fmt.Errorf("--max-viewers=%d and --max-viewers-per-user=%d: give at least 1", c.MaxViewers, c.MaxPerUser)
	}
	if c.MaxSeries < 1 || c.MaxAgentSeries < 1 {
		return fmt.Errorf("--max-series=%d and --max-series-per-agent=%d: give at least 1", c.MaxSeries, c.MaxAgentSeries)
	}
	if c.MinFree < 0 {
		return fmt.Errorf("--min-free=%d: give 0 or more bytes", c.MinFree)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen=%s: give host:port, for example 127.0.0.1:8080", c.Listen)
	}
	if !isLoopback(host) && c.TLSCert == "" && len(c.TrustedProxies) == 0 && !c.Insecure {
		return fmt.Errorf("--listen=%s would send passwords in the clear: give --tls-cert and --tls-key, name the TLS proxy in front with --trusted-proxies, or accept it with --insecure", c.Listen)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Run runs the hub until ctx ends, and then stops it in order.
func (c *serveCommand) Run(ctx context.Context, effective *effectiveConfig) error {
	log, err := newLogger(c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	log.Info("starting telltale", "version", version, "config", effective)
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	h, err := openHub(ctx, c, log)
	if err != nil {
		return err
	}
	return h.run(ctx)
}

func newLogger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
}
