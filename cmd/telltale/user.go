package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"telltale/dashboard/store"
)

type userCommand struct {
	Create   userCreateCommand   `cmd:"" help:"Make a user and print a password for them."`
	List     userListCommand     `cmd:"" help:"List users."`
	Password userPasswordCommand `cmd:"" help:"Give a user a new password and print it; their sessions end."`
	Delete   userDeleteCommand   `cmd:"" help:"Delete a user; their sessions end."`
}

// passwordFlags say where a password comes from. It is never an argument, which other users of the machine could read.
type passwordFlags struct {
	Stdin bool `help:"Read the password from standard input, in place of making one." name:"password-stdin"`
}

// maxPasswordLine is more than a password may have.
const maxPasswordLine = 4 << 10

func (f passwordFlags) password(in io.Reader) (string, error) {
	if !f.Stdin {
		return rand.Text(), nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// tell prints a password that was made here; only it goes to standard output, so that scripts can use it.
func (f passwordFlags) tell(user, password string) {
	if f.Stdin {
		return
	}
	fmt.Fprintf(os.Stderr, "password of %s; keep it, it is not shown again:\n", user)
	fmt.Println(password)
}

type userCreateCommand struct {
	storeFlags    `embed:""`
	passwordFlags `embed:""`
	Name          string `arg:"" help:"Name to sign in with."`
	Role          string `help:"viewer: see dashboards; analyst: ask history as well; admin: everything." enum:"viewer,analyst,admin" default:"viewer"`
}

// Run makes a user.
func (c *userCreateCommand) Run(ctx context.Context) error {
	password, err := c.password(os.Stdin)
	if err != nil {
		return err
	}
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		if err := s.Users.Create(ctx, c.Name, password, store.Role(c.Role)); err != nil {
			return err
		}
		c.tell(c.Name, password)
		return nil
	})
}

type userListCommand struct {
	storeFlags `embed:""`
}

// Run prints a table of the users.
func (c *userListCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tROLE\tCREATED\tPASSWORD SET")
		for _, u := range s.Users.List() {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Name, u.Role, u.Created.UTC().Format(time.RFC3339), u.Changed.UTC().Format(time.RFC3339))
		}
		return table.Flush()
	})
}

type userPasswordCommand struct {
	storeFlags    `embed:""`
	passwordFlags `embed:""`
	Name          string `arg:"" help:"The user's name."`
}

// Run sets a user's password.
func (c *userPasswordCommand) Run(ctx context.Context) error {
	password, err := c.password(os.Stdin)
	if err != nil {
		return err
	}
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error {
		if err := s.Users.SetPassword(ctx, c.Name, password); err != nil {
			return err
		}
		c.tell(c.Name, password)
		return nil
	})
}

type userDeleteCommand struct {
	storeFlags `embed:""`
	Name       string `arg:"" help:"The user's name."`
}

// Run deletes a user.
func (c *userDeleteCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, slog.Default(), func(s *store.Store) error { return s.Users.Delete(ctx, c.Name) })
}
