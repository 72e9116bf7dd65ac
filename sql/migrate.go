// Package sql is Weir's own database: its migrations, and the partitions that hold its samples.
// The queries beside them are compiled into weir/queries (go tool sqlc generate).
package sql

import (
	"context"
	stdsql "database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the database up to date and names the migrations that this call applied; none
// when it was already. Several may start at once, also through a transaction pooler: one migrates,
// the others wait until there is nothing left to do, or until ctx ends. It needs two server
// connections. Each migration is one transaction: after an error those before it stay, and calling
// again goes on.
func Migrate(ctx context.Context, config *pgx.ConnConfig) (applied []string, err error) {
	if applied, err = migrate(ctx, config); err != nil {
		return applied, fmt.Errorf("migrate database %s: %w", config.Database, err)
	}
	return applied, nil
}

func migrate(ctx context.Context, config *pgx.ConnConfig) (applied []string, err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing prepared: right behind any pooler
	db := stdlib.OpenDB(*config)
	defer db.Close()
	turn, err := takeTurn(ctx, db)
	if err != nil {
		return nil, err
	}
	defer turn.Rollback()

	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, r := range results {
		applied = append(applied, r.Source.Path)
	}
	return applied, err
}

// takeTurn returns the transaction that holds the right to migrate; its end gives it back. Goose's
// own locks do not do: the one of a session stays, behind a transaction pooler, with whatever
// server connection it got, and the one in a table holds up the next start after a crash.
//
// It asks again and again: whoever waited inside the database would keep a server connection from
// the one that has work to do, and with a small pool that would never end.
func takeTurn(ctx context.Context, db *stdsql.DB) (*stdsql.Tx, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for waited := ""; ; waited = "wait for another migration to end: " {
		tx, err := tryTurn(ctx, db)
		if err != nil {
			return nil, fmt.Errorf("%s%w", waited, err)
		}
		if tx != nil {
			return tx, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done(): // the next try returns it
		}
	}
}

// tryTurn returns nothing when it is somebody else's.
func tryTurn(ctx context.Context, db *stdsql.DB) (*stdsql.Tx, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	// It idles while the migrations run on another connection.
	_, err = tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
	var mine bool
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock(hashtext('weir migrate'))").Scan(&mine)
	}
	if err != nil || !mine {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}
