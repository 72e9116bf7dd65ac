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
// the others wait until ctx ends or there is nothing left to do. It needs two server connections.
// Each migration is one transaction: after an error those before it stay, and calling again goes on.
func Migrate(ctx context.Context, config *pgx.ConnConfig) (applied []string, err error) {
	provider, err := newProvider(config)
	if err != nil {
		return nil, fmt.Errorf("migrate database %s: %w", config.Database, err)
	}
	defer provider.Close()
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, r := range results {
		applied = append(applied, r.Source.Path)
	}
	if err != nil {
		return applied, fmt.Errorf("migrate database %s: %w", config.Database, err)
	}
	return applied, nil
}

func newProvider(config *pgx.ConnConfig) (*goose.Provider, error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing prepared: right behind any pooler
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, stdlib.OpenDB(*config), dir,
		goose.WithLocker(&turn{}), goose.WithDisableGlobalRegistry(true))
}

// turn is the right to migrate. It is an advisory lock that a transaction holds: behind a
// transaction pooler goose's session lock would stay with whatever server connection it got, and
// its lock table would hold up the next start after a crash.
type turn struct{ tx *stdsql.Tx }

// advisoryLock is any number nobody else locks in this database.
const advisoryLock = 0x77656972 // "weir"

// Lock tries again and again: whoever waited inside the database would keep a server connection
// from the one that has work to do, and a small pool would never finish.
func (t *turn) Lock(ctx context.Context, db *stdsql.DB) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		locked, err := t.try(ctx, db)
		if locked || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for another migration to end: %w", ctx.Err())
		}
	}
}

func (t *turn) try(ctx context.Context, db *stdsql.DB) (locked bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	// The transaction idles while the migrations run on another connection.
	_, err = tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", advisoryLock).Scan(&locked)
	}
	if err != nil || !locked {
		return false, errors.Join(err, tx.Rollback())
	}
	t.tx = tx
	return true, nil
}

// Unlock ends the transaction. When ctx ended, or the connection broke, it has ended already.
func (t *turn) Unlock(context.Context, *stdsql.DB) error {
	if err := t.tx.Rollback(); err != nil && !errors.Is(err, stdsql.ErrTxDone) {
		return fmt.Errorf("give the migration lock back: %w", err)
	}
	return nil
}
