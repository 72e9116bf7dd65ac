package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/server/session"
	"weir/server/web"
	"weir/sql"
)

// What root does on the machine itself, as session.Machine; weir(1) calls it there.
//
//	server [--settings FILE]
//	server [--settings FILE] migrate
//	server [--settings FILE] invite [--if-first] [--role ROLE] [EMAIL]
//	server [--settings FILE] token --role ROLE --expires DURATION [--name NAME]

// asked is what the arguments ask for; do is nil for the server itself.
type asked struct {
	settings []string // NAME=VALUE of the file
	do       func(ctx context.Context, s settings, env environment) error
}

const commandLimit = time.Minute

func readArguments(arguments []string) (asked, error) {
	var a asked
	flags := quietFlags("server")
	file := flags.String("settings", "", "")
	if err := flags.Parse(arguments); err != nil {
		return a, err
	}
	if *file != "" {
		body, err := os.ReadFile(*file)
		if err != nil {
			return a, fmt.Errorf("read settings: %w", err)
		}
		for line := range strings.Lines(string(body)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				a.settings = append(a.settings, line)
			}
		}
	}
	var err error
	switch rest := flags.Args(); {
	case len(rest) == 0:
	case rest[0] == "migrate":
		a.do = migrate
		if len(rest) > 1 {
			err = errors.New("migrate takes no arguments")
		}
	case rest[0] == "invite":
		a.do, err = readInvite(rest[1:])
	case rest[0] == "token":
		a.do, err = readToken(rest[1:])
	default:
		err = fmt.Errorf("there is no command %q: there are migrate, invite and token", rest[0])
	}
	return a, err
}

func quietFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // the error says it
	return f
}

// migrate brings the tables up to date and says what it did.
func migrate(ctx context.Context, s settings, env environment) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	config := s.database.ConnConfig.Copy()
	config.DialFunc = dialFunc(env.Dial)
	applied, err := sql.Migrate(ctx, config)
	for _, name := range applied {
		fmt.Fprintln(env.Stdout, "applied "+name)
	}
	if err == nil && len(applied) == 0 {
		fmt.Fprintln(env.Stdout, "the database is up to date")
	}
	return err
}

// readInvite: a link for somebody, or, without an address, for the first administrator.
func readInvite(arguments []string) (func(context.Context, settings, environment) error, error) {
	flags := quietFlags("invite")
	role := flags.String("role", string(runbook.Viewer), "")
	ifFirst := flags.Bool("if-first", false, "") // say nothing when there is an administrator
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	email := flags.Arg(0)
	switch {
	case flags.NArg() > 1:
		return nil, errors.New("invite one address at a time; --role goes before it")
	case *ifFirst && email != "":
		return nil, errors.New("the first administrator chooses the address: leave it out")
	}
	return func(ctx context.Context, s settings, env environment) error {
		return withAccounts(ctx, s, env, func(ctx context.Context, m *session.Manager) error {
			var token string
			var expires time.Time
			var err error
			if email == "" {
				token, expires, err = m.FirstAdministrator(ctx)
			} else {
				token, expires, err = m.Invite(ctx, session.Machine(), email, runbook.Role(*role))
			}
			switch late := email == "" && fault.CodeOf(err) == fault.Conflict; {
			case late && *ifFirst:
				return nil
			case late:
				return errors.New("there is an administrator already: name the address of whom you invite, and a role")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s\n", web.InvitationURL(s.public, token))
			fmt.Fprintf(env.Stderr, "good once, until %s\n", expires.Local().Format("2006-01-02 15:04 MST"))
			return err
		})
	}, nil
}

func readToken(arguments []string) (func(context.Context, settings, environment) error, error) {
	flags := quietFlags("token")
	role := flags.String("role", "", "")
	good := flags.Duration("expires", 0, "")
	name := flags.String("name", "made on the machine", "")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || *role == "" || *good == 0 {
		return nil, errors.New("token needs --role viewer, operator or administrator, and --expires, such as 720h")
	}
	return func(ctx context.Context, s settings, env environment) error {
		return withAccounts(ctx, s, env, func(ctx context.Context, m *session.Manager) error {
			secret, row, err := m.CreateToken(ctx, session.Machine(), *name, runbook.Role(*role), *good, nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, secret)
			fmt.Fprintf(env.Stderr, "role %s, good until %s; it is not shown again\n", row.Role, row.ExpiresAt.Local().Format("2006-01-02 15:04 MST"))
			return err
		})
	}, nil
}

// withAccounts is for commands that change accounts. The tables are brought up to date before.
func withAccounts(ctx context.Context, s settings, env environment, do func(context.Context, *session.Manager) error) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	pool, err := openPool(s.database, env.Dial)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := sql.Migrate(ctx, pool.Config().ConnConfig); err != nil {
		return err
	}
	m, err := session.New(session.Deps{DB: pool, Now: time.Now, NewID: newID})
	if err != nil {
		return err
	}
	return do(ctx, m)
}
