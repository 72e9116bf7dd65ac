package incident

import (
	"fmt"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
)

// BenchmarkFoldAndFindings folds one node's statistics into a snapshot of 2 nodes x 50 servers and
// 50 poolers, and examines all of it: less than 200 µs.
func BenchmarkFoldAndFindings(b *testing.B) {
	inv := inventory.Default()
	inv.PgBouncer.Poolers = nil
	stats := haproxy.Stats{}
	for i := range 50 {
		name := fmt.Sprintf("pgb%d", i+1)
		inv.PgBouncer.Poolers = append(inv.PgBouncer.Poolers, inventory.Node{Name: name})
		stats.Rows = append(stats.Rows, haproxy.Row{Proxy: fleet.PoolerBackend, Name: name, Kind: haproxy.Server,
			State: haproxy.Up, Admin: haproxy.Ready, Check: "L7OK"})
	}
	s, now := fleet.First(inv), start
	read := func(kind fleet.Kind, name string, value any) fleet.Reading {
		return fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: now, Value: value}
	}
	for _, n := range inv.HAProxy.Nodes {
		s = fleet.Fold(s, read(fleet.NodeStatsKind, n.Name, stats))
		s = fleet.Fold(s, read(fleet.NodeStateKind, n.Name, haproxy.NodeState{Keepalived: true, Ready: true, Poolers: 50, VIP: n.Name == "haproxy1", VRRP: "BACKUP"}))
	}
	for _, p := range inv.PgBouncer.Poolers {
		s = fleet.Fold(s, read(fleet.PoolerKind, p.Name, fleet.PoolerView{State: pgbouncer.State{Active: true}, Pools: make([]pgbouncer.Pool, 4)}))
	}
	s.VIP.Answers.Tried, s.VIP.Through.Tried, s.Postgres.Probe.Tried = now, now, now
	fold := func() { s = fleet.Fold(s, read(fleet.NodeStatsKind, "haproxy1", stats)) }
	examine := func() {
		if found := Findings(s, inv, now.Add(time.Second)); len(found) > 0 {
			b.Fatalf("found %v", found)
		}
	}
	for name, work := range map[string]func(){
		"fold": fold, "findings": examine, "fold and findings": func() { fold(); examine() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
		})
	}
}
