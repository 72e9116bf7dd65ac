package postgres_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

var (
	inv     = inventory.Default()
	secrets = postgrestest.Secrets
	// running is the server that all tests share, with the default inventory's files.
	running = postgrestest.Shared(func() (*postgrestest.Server, error) {
		return postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	})
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func login(user, password, database string) postgres.Login {
	return postgres.Login{Endpoint: netip.AddrPortFrom(inv.Postgres.Address.Addr, uint16(inv.Postgres.Port)),
		User: user, Password: password, Database: database}
}
