package postgrestest

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
)

// Secrets are the passwords of every Server.
var Secrets = inventory.Secrets{Postgres: "postgres-password-1", Auth: "auth-password-12345", Admin: "admin-password-1234",
	Monitor: "monitor-password-12", Console: "console-password-12", HAProxyStats: "statistics-password", Check: "check-password-1234"}

// Server is a machine with every address of an inventory, on which PostgreSQL runs.
type Server struct {
	*Host
	Inv    *inventory.Inventory
	Pooler inventory.Node // the first of the inventory
	made   atomic.Int64   // databases
}

// Shared is a Server that the first test to ask starts, and all tests of the package use.
func Shared(start func() (*Server, error)) func(testing.TB) *Server {
	once := sync.OnceValues(start)
	return func(t testing.TB) *Server {
		t.Helper()
		s, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// Serve starts a Server within a minute. It takes postgres.Render and postgres.Processes, and does not
// import them: that package's own tests import this one.
func Serve(inv *inventory.Inventory, render func(*inventory.Inventory, inventory.Secrets) ([]inventory.File, error),
	processes func(*inventory.Inventory) []inventory.Process) (*Server, error) {
	files, err := render(inv, Secrets)
	if err != nil {
		return nil, err
	}
	var addresses []inventory.Addr
	for _, n := range inv.Hosts() {
		addresses = append(addresses, n.Address)
	}
	host, err := Start(addresses...)
	if err != nil {
		return nil, err
	}
	if err := host.add(files, processes(inv)); err != nil {
		host.Stop()
		return nil, err
	}
	return &Server{Host: host, Inv: inv, Pooler: inv.PgBouncer.Poolers[0]}, nil
}

// ServePooler starts PgBouncer on it too, as the first pooler, within a minute. It takes
// pgbouncer.Render and pgbouncer.Processes, as Serve does.
func (s *Server) ServePooler(render func(*inventory.Inventory, inventory.Node, inventory.Secrets, int) ([]inventory.File, error),
	processes func(*inventory.Inventory) []inventory.Process) error {
	// On one machine a connection would come from the address it goes to; PostgreSQL's rules are
	// about the pooler's.
	if _, err := s.Run("ip", "route", "replace", "table", "local", "local", s.Inv.Postgres.Address.String(),
		"dev", "lo", "src", s.Pooler.Address.String()); err != nil {
		return err
	}
	files, err := render(s.Inv, s.Pooler, Secrets, 20000)
	if err != nil {
		return err
	}
	return s.add(files, processes(s.Inv))
}

func (h *Host) add(files []inventory.File, processes []inventory.Process) error {
	if err := h.Write(files); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, p := range processes {
		if err := h.Launch(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// Direct is how somebody at that address reaches PostgreSQL itself.
func (s *Server) Direct(from inventory.Addr, user, password, database string) *pgx.ConnConfig {
	return s.config(from, s.Inv.Postgres.Address, s.Inv.Postgres.Port, user, password, database)
}

// Pooled is how somebody at that address reaches it through the pooler.
func (s *Server) Pooled(from inventory.Addr, user, password, database string) *pgx.ConnConfig {
	return s.config(from, s.Pooler.Address, s.Inv.PgBouncer.Port, user, password, database)
}

func (s *Server) config(from, to inventory.Addr, port int, user, password, database string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable", to, port))
	if err != nil {
		panic(err) // addresses of the inventory
	}
	config.User, config.Password, config.Database = user, password, database
	config.DialFunc = s.DialFrom(from)
	return config
}

// Weir is how the monitor reaches a database of role weir.
func (s *Server) Weir(database string) *pgx.ConnConfig {
	return s.Direct(s.Inv.Monitor.Address, "weir", Secrets.Console, database)
}

// Superuser is a session of postgres from the monitor's address, until the test ends.
func (s *Server) Superuser(t testing.TB) *pgx.Conn {
	t.Helper()
	return Connect(t, s.Direct(s.Inv.Monitor.Address, "postgres", Secrets.Postgres, "postgres"))
}

// Connect opens a session within 20 seconds, until the test ends.
func Connect(t testing.TB, config *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Create makes a database of role weir and returns its name. It is a copy of that one; template0 is
// an empty one.
func (s *Server) Create(t testing.TB, like string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.made.Add(1))
	conn := s.Superuser(t)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE DATABASE %s OWNER weir TEMPLATE %s", name, like)); err != nil {
		t.Fatal(err)
	}
	return name
}

// Pool holds up to eight connections, until the test ends.
func Pool(t testing.TB, config *pgx.ConnConfig) *pgxpool.Pool {
	t.Helper()
	all, err := pgxpool.ParseConfig("")
	if err != nil {
		t.Fatal(err)
	}
	all.ConnConfig, all.MaxConns = config, 8
	pool, err := pgxpool.NewWithConfig(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// SecretsDir holds those of the Secrets that the monitor and the server need, a file each.
func SecretsDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"monitor", "admin", "console", "haproxy-stats"} {
		f := Secrets.File(dir, name, "")
		if err := os.WriteFile(f.Path, f.Body, f.Mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
