package postgres_test

import (
	"context"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

var secrets = inventory.Secrets{Postgres: "postgres-password-1", Auth: "auth-password-12345", Admin: "admin-password-1234",
	Monitor: "monitor-password-12", Console: "console-password-12", HAProxyStats: "statistics-password"}

var (
	inv     = inventory.Default()
	shared  = sync.OnceValues(startServer)
	started *postgrestest.Host // by shared; TestMain ends it
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Stop()
	}
	os.Exit(code)
}

// running is the server that all tests share, with the default inventory's files.
func running(t *testing.T) *postgrestest.Host {
	t.Helper()
	h, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func startServer() (*postgrestest.Host, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var addresses []inventory.Addr
	for _, n := range inv.Hosts() {
		addresses = append(addresses, n.Address)
	}
	h, err := postgrestest.Start(addresses...)
	if err != nil {
		return nil, err
	}
	started = h
	files, err := postgres.Render(inv, secrets)
	if err != nil {
		return nil, err
	}
	if err := h.Write(files); err != nil {
		return nil, err
	}
	return h, h.Launch(ctx, postgres.Processes(inv)[0])
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func login(user, password, database string) postgres.Login {
	return postgres.Login{Endpoint: netip.AddrPortFrom(inv.Postgres.Address.Addr, uint16(inv.Postgres.Port)),
		User: user, Password: password, Database: database}
}

// connect opens a session directly from that address.
func connect(ctx context.Context, h *postgrestest.Host, from inventory.Addr, user, password, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=" + inv.Postgres.Address.String() + " sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database = user, password, database
	config.DialFunc = h.DialFrom(from)
	return pgx.ConnectConfig(ctx, config)
}
