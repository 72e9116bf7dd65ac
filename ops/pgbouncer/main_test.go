package pgbouncer_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

// cluster is a real PostgreSQL and a real pooler, rendered from the inventory, on one machine with
// all the addresses.
type cluster struct {
	*postgrestest.Host
	inv     *inventory.Inventory
	secrets inventory.Secrets
	pooler  inventory.Node
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

// running is the cluster all tests share; each leaves it as it found it.
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
	inv.PgBouncer.PoolSize, inv.PgBouncer.ReservePoolSize = 3, 0 // soon full
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
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	started = c
	return c, nil
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

// pooled connects to the pooler as an application behind HAProxy does.
func (c *cluster) pooled(ctx context.Context, user, password, database string) (*pgx.Conn, error) {
	return c.connect(ctx, c.inv.HAProxy.Nodes[0].Address, c.pooler.Address, c.inv.PgBouncer.Port, user, password, database)
}

// direct connects to PostgreSQL from the monitor's address.
func (c *cluster) direct(ctx context.Context, user, password, database string) (*pgx.Conn, error) {
	return c.connect(ctx, c.inv.Monitor.Address, c.inv.Postgres.Address, c.inv.Postgres.Port, user, password, database)
}

func (c *cluster) connect(ctx context.Context, from, to inventory.Addr, port int, user, password, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable", to, port))
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database = user, password, database
	config.DialFunc = c.DialFrom(from)
	return pgx.ConnectConfig(ctx, config)
}

// admin is a client of the pooler's console, closed when the test ends.
func (c *cluster) admin(t *testing.T, user, password string) *pgbouncer.Client {
	t.Helper()
	client, err := pgbouncer.New(c.pooler, c.inv.PgBouncer.Port, user, password, c.DialFrom(c.inv.Monitor.Address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.Background()) })
	return client
}

// superuser does statements as postgres, directly; also when the test's own context has ended.
func (c *cluster) superuser(t *testing.T, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := c.direct(ctx, "postgres", c.secrets.Postgres, "postgres")
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

func (c *cluster) endpoint(a inventory.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr, uint16(port))
}
