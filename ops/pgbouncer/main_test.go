package pgbouncer_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

// cluster is a real PostgreSQL and a real pooler.
type cluster struct{ *postgrestest.Server }

// running is the cluster all tests share; each leaves it as it found it.
func running(t *testing.T) cluster {
	t.Helper()
	return cluster{shared(t)}
}

var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	inv := inventory.Default()
	inv.PgBouncer.PoolSize, inv.PgBouncer.ReservePoolSize = 3, 0 // soon full
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	return s, s.ServePooler(pgbouncer.Render, pgbouncer.Processes)
})

var secrets = postgrestest.Secrets

// pooled is how an application behind HAProxy reaches the pooler.
func (c cluster) pooled(user, password, database string) *pgx.ConnConfig {
	return c.Pooled(c.Inv.HAProxy.Nodes[0].Address, user, password, database)
}

// application is a session through the pooler, until the test ends.
func (c cluster) application(t *testing.T) *pgx.Conn {
	t.Helper()
	return postgrestest.Connect(t, c.pooled("postgres", secrets.Postgres, "postgres"))
}

// admin is a client of the pooler's console, closed when the test ends.
func (c cluster) admin(t *testing.T, user, password string) *pgbouncer.Client {
	t.Helper()
	client, err := pgbouncer.New(c.Pooler, c.Inv.PgBouncer.Port, user, password, c.DialFrom(c.Inv.Monitor.Address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.Background()) })
	return client
}

// sql does statements as postgres, directly; also when the test's own context has ended.
func (c cluster) sql(t *testing.T, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, c.Direct(c.Inv.Monitor.Address, "postgres", secrets.Postgres, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func (c cluster) endpoint(a inventory.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr, uint16(port))
}
