package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"telltale/dashboard/store"
)

type tokenCommand struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token and print it; it is not shown again."`
	List   tokenListCommand   `cmd:"" help:"List tokens, without their secrets."`
	Revoke tokenRevokeCommand `cmd:"" help:"Revoke a token by its id; connections that use it end."`
}

type tokenCreateCommand struct {
	storeFlags `embed:""`
	Name       string `arg:"" help:"What the token is for, for example the name of the host."`
	Scope      string `help:"agent: send samples; metrics: read /metrics; query: read history, by queries and by SQL; events: record deploys, incidents and other events." enum:"agent,metrics,query,events" default:"agent"`
}

// Run makes a token. Only the secret goes to standard output, so that scripts can use it.
func (c *tokenCreateCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		token, secret, err := s.Tokens.Create(ctx, c.Name, store.Scope(c.Scope))
		if err != nil {
			return fmt.Errorf("create a token: %w", err)
		}
		fmt.Fprintf(os.Stderr, "token %s (%s) for %s; keep it, it is not shown again:\n", token.ID, token.Scope, token.Name)
		fmt.Println(secret.Reveal())
		return nil
	})
}

type tokenListCommand struct {
	storeFlags `embed:""`
}

// Run prints a table of the tokens.
func (c *tokenListCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tSCOPE\tNAME\tCREATED")
		for _, t := range s.Tokens.List() {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.ID, t.Scope, t.Name, t.Created.UTC().Format(time.RFC3339))
		}
		return table.Flush()
	})
}

type tokenRevokeCommand struct {
	storeFlags `embed:""`
	ID         string `arg:"" help:"The token's id, as 'telltale token list' shows it."`
}

// Run revokes a token.
func (c *tokenRevokeCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		if err := s.Tokens.Revoke(ctx, c.ID); err != nil {
			return fmt.Errorf("revoke token %s: %w", c.ID, err)
		}
		return nil
	})
}
