package sql_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
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

// cluster is a real PostgreSQL behind a real pooler that has two server connections to give.
type cluster struct {
	*postgrestest.Host
	inv     *inventory.Inventory
	pooler  inventory.Node
	secrets inventory.Secrets
	made    atomic.Int64 // databases
}

var (
	shared  = sync.OnceValues(startCluster)
	started *cluster // by shared; TestMain ends it
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Stop()
	}
	os.Exit(code)
}

// running is the cluster that all tests share, each with a database of its own.
func running(t *testing.T) *cluster {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startCluster() (*cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	inv := inventory.Default()
	inv.PgBouncer.PoolSize, inv.PgBouncer.ReservePoolSize = 2, 0
	c := &cluster{inv: inv, pooler: inv.PgBouncer.Poolers[0], secrets: inventory.Secrets{
		Postgres: "postgres-password-1", Auth: "auth-password-12345", Admin: "admin-password-1234",
		Monitor: "monitor-password-12", Console: "console-password-12", HAProxyStats: "statistics-password"}}
	var addresses []inventory.Addr
	for _, n := range inv.Hosts() {
		addresses = append(addresses, n.Address)
	}
	var err error
	if c.Host, err = postgrestest.Start(addresses...); err != nil {
		return nil, err
	}
	started = c
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	_, err = sql.Migrate(ctx, c.direct("weir", c.secrets.Console, "weir"))
	return c, err
}

func (c *cluster) start(ctx context.Context) error {
	// On one machine a connection would come from the address it goes to; PostgreSQL's rules are
	// about the pooler's.
	if _, err := c.Run("ip", "route", "replace", "table", "local", "local", c.inv.Postgres.Address.String(),
		"dev", "lo", "src", c.pooler.Address.String()); err != nil {
		return err
	}
	database, err := postgres.Render(c.inv, c.secrets)
	if err != nil {
		return err
	}
	pooler, err := pgbouncer.Render(c.inv, c.pooler, c.secrets, 20000)
	if err != nil {
		return err
	}
	if err := c.Write(append(database, pooler...)); err != nil {
		return err
	}
	for _, p := range append(postgres.Processes(c.inv), pgbouncer.Processes(c.inv)...) {
		if err := c.Launch(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// direct reaches PostgreSQL from the monitor's address.
func (c *cluster) direct(user, password, database string) *pgx.ConnConfig {
	return c.config(c.inv.Monitor.Address, c.inv.Postgres.Address, c.inv.Postgres.Port, user, password, database)
}

// pooled reaches it through PgBouncer, as a client of the VIP does.
func (c *cluster) pooled(database string) *pgx.ConnConfig {
	return c.config(c.inv.HAProxy.Nodes[0].Address, c.pooler.Address, c.inv.PgBouncer.Port, "weir", c.secrets.Console, database)
}

func (c *cluster) config(from, to inventory.Addr, port int, user, password, database string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable", to, port))
	if err != nil {
		panic(err) // addresses of the inventory
	}
	config.User, config.Password, config.Database = user, password, database
	config.DialFunc = c.DialFrom(from)
	return config
}

// create makes a database; like is the one to copy, or template0 for an empty one.
func (c *cluster) create(t *testing.T, like string) (name string) {
	t.Helper()
	name = fmt.Sprintf("weir_%d", c.made.Add(1))
	conn, err := pgx.ConnectConfig(t.Context(), c.direct("postgres", c.secrets.Postgres, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE DATABASE %s OWNER weir TEMPLATE %s", name, like)); err != nil {
		t.Fatal(err)
	}
	return name
}

// migrated is a database of the test's own with all tables and no rows, reached through the pooler.
func migrated(t *testing.T) (context.Context, *pgxpool.Pool) {
	t.Helper()
	c := running(t)
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig, config.MaxConns = c.pooled(c.create(t, "weir")), 8
	ctx := deadline(t)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return ctx, pool
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
