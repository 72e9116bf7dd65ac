package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

// host is a machine on which PostgreSQL runs, and PgBouncer as pgb1. HAProxy does not.
type host struct{ *postgrestest.Server }

// running is the machine that all tests share, each with a database of its own.
func running(t *testing.T) host {
	t.Helper()
	return host{shared(t)}
}

var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	inv := inventory.Default()
	inv.Postgres.Settings["shared_buffers"] = "32MB"
	inv.Postgres.Settings["effective_cache_size"] = "64MB"
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	return s, s.ServePooler(pgbouncer.Render, pgbouncer.Processes)
})

// dsn is a new, empty database of role weir.
func (h host) dsn(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("postgres://weir:%s@%s/%s?sslmode=disable", postgrestest.Secrets.Console, h.Inv.PostgresEndpoint(), h.Create(t, "template0"))
}

// pool connects to a database from the monitor's address, through a switch that can cut it off.
func (h host) pool(t *testing.T, dsn string) (*pgxpool.Pool, *cutter) {
	t.Helper()
	config := must(pgx.ParseConfig(dsn))(t)
	cut := &cutter{dial: h.DialFrom(h.Inv.Monitor.Address)}
	config.DialFunc = cut.Dial
	return postgrestest.Pool(t, config), cut
}

// cutter dials until told that nobody answers.
type cutter struct {
	dial fleet.Dial
	cut  atomic.Bool
}

func (c *cutter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.cut.Load() {
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	}
	return c.dial(ctx, network, addr)
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// until asks again and again, for nobody tells: every 10 ms, until it is so or ctx ends.
func until(t *testing.T, ctx context.Context, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited until %s: %v", what, context.Cause(ctx))
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// chain is snapshots of a cluster whose parts can be broken.
type chain struct {
	inv *inventory.Inventory
	hub *fleet.Hub
	now time.Time

	stats   haproxy.Stats // of both nodes
	view    fleet.PoolerView
	down    map[string]bool
	probe   error
	through error
}

func healthy(now time.Time) *chain {
	inv := inventory.Default()
	c := &chain{inv: inv, hub: fleet.NewHub(fleet.First(inv)), now: now, down: map[string]bool{}}
	c.view = fleet.PoolerView{Version: "PgBouncer 1.24.1", State: pgbouncer.State{Active: true},
		Pools: []pgbouncer.Pool{{Database: "app", User: "app", ClActive: 100, ClWaiting: 2, SvActive: 10, SvIdle: 5, MaxWait: 300 * time.Millisecond}},
		Lists: map[string]int64{"used_clients": 102}, Databases: []pgbouncer.Database{{Name: "app"}}}
	c.stats.Rows = []haproxy.Row{{Proxy: "postgres", Name: "FRONTEND", Kind: haproxy.Frontend, State: haproxy.Open, Sessions: 300}}
	return c
}

var errRefused = fmt.Errorf("dial tcp: %w", syscall.ECONNREFUSED)

// look polls everything once, a second after the last time.
func (c *chain) look() *fleet.Snapshot {
	c.now = c.now.Add(time.Second)
	read := func(kind fleet.Kind, name string, value any, err error) {
		c.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: c.now, Took: time.Millisecond, Value: value, Err: err})
	}
	for i, n := range c.inv.HAProxy.Nodes {
		state := haproxy.NodeState{Node: n.Name, Keepalived: true, Ready: true, VIP: i == 0, VRRP: []string{"MASTER", "BACKUP"}[min(i, 1)], Poolers: 3, PoolersTotal: 3}
		stats := haproxy.Stats{Node: n.Name, Rows: append([]haproxy.Row{}, c.stats.Rows...)}
		for _, p := range c.inv.PgBouncer.Poolers {
			row := haproxy.Row{Proxy: fleet.PoolerBackend, Name: p.Name, Kind: haproxy.Server, State: haproxy.Up, Admin: haproxy.Ready, Check: "L7OK", LastChange: time.Second}
			if c.down[p.Name] {
				row.State, row.Check, row.CheckDowns = haproxy.Down, "L4CON", 1
			}
			stats.Rows = append(stats.Rows, row)
		}
		read(fleet.NodeStateKind, n.Name, state, nil)
		read(fleet.NodeStatsKind, n.Name, stats, nil)
	}
	for _, p := range c.inv.PgBouncer.Poolers {
		var err error
		if c.down[p.Name] {
			err = errRefused
		}
		read(fleet.PoolerKind, p.Name, c.view, err)
	}
	read(fleet.AnswerKind, "", c.inv.HAProxy.Nodes[0].Name, nil)
	read(fleet.ThroughKind, "", postgres.Passage{Elapsed: 3 * time.Millisecond}, c.through)
	read(fleet.DirectKind, "", postgres.Probe{MaxConnections: 250, Connections: 60, OldestXIDAge: 1000}, c.probe)
	read(fleet.SizesKind, "", []postgres.Size{{Database: "a", Bytes: 70}, {Database: "b", Bytes: 30}}, nil)
	now, _ := c.hub.Now()
	return now
}

var errDisk = errors.New("no space left on device")
