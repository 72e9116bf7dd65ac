package sql_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/queries"
	"weir/sql"
)

var q = queries.New()

// shared is a real PostgreSQL with Weir's tables behind a real pooler that has two server
// connections to give. Each test has a database of its own.
var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	inv := inventory.Default()
	inv.PgBouncer.PoolSize, inv.PgBouncer.ReservePoolSize = 2, 0
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	if err := s.ServePooler(pgbouncer.Render, pgbouncer.Processes); err != nil {
		return nil, err
	}
	_, err = sql.Migrate(context.Background(), s.Weir("weir"))
	return s, err
})

// pooled reaches a database through PgBouncer, as a client of the VIP does.
func pooled(s *postgrestest.Server, database string) *pgx.ConnConfig {
	return s.Pooled(s.Inv.HAProxy.Nodes[0].Address, "weir", postgrestest.Secrets.Console, database)
}

// migrated is a database of the test's own with all tables and no rows, reached through the pooler.
func migrated(t *testing.T) (context.Context, *pgxpool.Pool) {
	t.Helper()
	s := shared(t)
	return deadline(t), postgrestest.Pool(t, pooled(s, s.Create(t, "weir")))
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// untilAnotherWaits polls, for PostgreSQL tells nobody that a session began to wait: for one that
// waits for the end of this transaction.
func untilAnotherWaits(t *testing.T, ctx context.Context, tx queries.DBTX) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waiting := false; !waiting; <-tick.C {
		err := tx.QueryRow(ctx, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid").Scan(&waiting)
		if err != nil {
			t.Fatalf("until another waits: %v", err)
		}
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is for a call that answers: must(t)(call(...)).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ref[T any](v T) *T { return &v }

// moment is when the tests happen: a whole hour, lately.
var moment = time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)

// uuid is the n-th of a series.
func uuid(n int) string { return fmt.Sprintf("01930000-0000-7000-8000-%012x", n) }
