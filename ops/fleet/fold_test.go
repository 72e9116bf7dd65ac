package fleet

import (
	"errors"
	"testing"
	"time"

	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// at is a moment of the story, in seconds.
func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func stats(node string, rows ...haproxy.Row) Reading {
	return Reading{Source: Source{NodeStatsKind, node}, Value: haproxy.Stats{Node: node, Rows: rows}}
}

func server(name string, state haproxy.State, downs int64) haproxy.Row {
	return haproxy.Row{Proxy: PoolerBackend, Name: name, Kind: haproxy.Server, State: state, CheckDowns: downs, CheckFails: 2 * downs}
}

func frontend(sessions, in, out int64) haproxy.Row {
	return haproxy.Row{Proxy: "postgres", Name: "FRONTEND", SessionsTotal: sessions, BytesIn: in, BytesOut: out}
}

func pooler(name string, xacts, queries int64, xactTime time.Duration) Reading {
	return Reading{Source: Source{PoolerKind, name}, Value: PoolerView{Stats: []pgbouncer.Stat{
		{Database: "app", TotalXactCount: xacts, TotalQueryCount: queries, TotalReceived: queries * 100, TotalXactTime: xactTime},
		{Database: "pgbouncer", TotalQueryCount: 1_000_000}, // the polls themselves
	}}}
}

// pooled is pgb1 with databases, each a name and how many transactions of one query it had.
func pooled(databases ...any) Reading {
	v := PoolerView{Stats: []pgbouncer.Stat{{Database: "pgbouncer", TotalXactCount: 1, TotalQueryCount: 1}}}
	for i := 0; i < len(databases); i += 2 {
		n := int64(databases[i+1].(int))
		v.Stats = append(v.Stats, pgbouncer.Stat{Database: databases[i].(string), TotalXactCount: n, TotalQueryCount: n, TotalReceived: 100 * n, TotalSent: 100 * n})
	}
	return Reading{Source: Source{PoolerKind, "pgb1"}, Value: v}
}

func xacts(count int64, started time.Time) Reading {
	return Reading{Source: Source{DirectKind, "postgres"}, Value: postgres.Probe{Xacts: count, StartTime: started}}
}

// paused is pgb1, paused altogether or in some databases.
func paused(altogether bool, databases ...string) Reading {
	v := PoolerView{State: pgbouncer.State{Paused: altogether}}
	for _, d := range databases {
		v.Databases = append(v.Databases, pgbouncer.Database{Name: d, Paused: true})
	}
	return Reading{Source: Source{PoolerKind, "pgb1"}, Value: v}
}

func failed(s Source) Reading { return Reading{Source: s, Err: errors.New("connection refused")} }

func TestFold(t *testing.T) {
	pgb1 := Source{PoolerKind, "pgb1"}
	for _, row := range []struct {
		why      string
		readings []Reading // a second apart
		want     func(*Snapshot) bool
	}{
		{"PostgreSQL's transactions a second are those of the last 10 s: sessions tell theirs late", []Reading{xacts(1000, noon), xacts(1000, noon), xacts(1000, noon),
			xacts(1000, noon), xacts(1000, noon), xacts(1000, noon), xacts(1300, noon), xacts(1300, noon), xacts(1300, noon), xacts(1300, noon), xacts(1300, noon), xacts(1600, noon), xacts(1600, noon)},
			func(s *Snapshot) bool { return s.Postgres.Rates == PostgresRates{60, 10 * time.Second} }},
		{"a reading that failed is no reading of nothing", []Reading{xacts(1000, noon), failed(Source{DirectKind, "postgres"}), xacts(1100, noon)},
			func(s *Snapshot) bool { return s.Postgres.Rates == PostgresRates{50, 2 * time.Second} }},
		{"PostgreSQL that started again, or whose statistics were reset, has no rate yet", []Reading{xacts(1000, noon), xacts(1500, noon), xacts(1600, at(2))},
			func(s *Snapshot) bool { return s.Postgres.Rates == PostgresRates{} }},
		{"and counts anew from there", []Reading{xacts(1000, noon), xacts(5, noon), xacts(15, noon)},
			func(s *Snapshot) bool { return s.Postgres.Rates == PostgresRates{10, time.Second} }},
		{"nothing is known before the first reading", nil,
			func(s *Snapshot) bool { return !s.Poolers[0].View.Known() && !s.Poolers[0].View.OK() && s.Version == 0 }},
		{"every reading makes a version", []Reading{pooler("pgb1", 0, 0, 0), failed(pgb1)},
			func(s *Snapshot) bool { return s.Version == 2 && s.At.Equal(at(1)) }},
		{"a failed reading keeps the value and shows its age", []Reading{pooler("pgb1", 5, 5, 0), failed(pgb1), failed(pgb1)},
			func(s *Snapshot) bool {
				v := s.Poolers[0].View
				return v.Known() && !v.OK() && v.Failures == 2 && v.Age(at(2)) == 2*time.Second && v.Value.Stats[0].TotalXactCount == 5
			}},
		{"a run of failures is counted from its first", []Reading{pooler("pgb1", 5, 5, 0), failed(pgb1), failed(pgb1)},
			func(s *Snapshot) bool { return s.Poolers[0].View.Since.Equal(at(1)) }},
		{"a success ends the run", []Reading{failed(pgb1), pooler("pgb1", 5, 5, 0)},
			func(s *Snapshot) bool {
				v := s.Poolers[0].View
				return v.OK() && v.Failures == 0 && v.Since.Equal(at(1))
			}},
		{"rates are differences of totals, without the console's own", []Reading{pooler("pgb1", 100, 700, time.Second), pooler("pgb1", 300, 2100, 3*time.Second)},
			func(s *Snapshot) bool {
				r := s.Poolers[0].Rates
				return r.Xacts == 200 && r.Queries == 1400 && r.MeanXact == 10*time.Millisecond && r.Over == time.Second
			}},
		{"a rate spans the failed readings between", []Reading{pooler("pgb1", 100, 700, 0), failed(pgb1), pooler("pgb1", 300, 2100, 0)},
			func(s *Snapshot) bool { return s.Poolers[0].Rates.Xacts == 100 }},
		{"totals that went back are a restart, and no rate", []Reading{pooler("pgb1", 300, 2100, 0), pooler("pgb1", 4, 9, 0)},
			func(s *Snapshot) bool {
				return s.Poolers[0].Restarted.Equal(at(1)) && s.Poolers[0].Rates == PoolerRates{}
			}},
		{"a database that the pooler has forgotten, with its totals, is no restart, and takes nothing from the rates", []Reading{
			pooled("app", 1000, "reports", 5000), pooled("app", 1100), pooled("app", 1150)},
			func(s *Snapshot) bool {
				p := s.Poolers[0]
				return p.Restarted.IsZero() && p.Rates.Xacts == 50 && p.Rates.Queries == 50 && p.Rates.Received == 5000
			}},
		{"nor does it when what the others did is more than it had", []Reading{pooled("app", 1000, "reports", 40), pooled("app", 1500)},
			func(s *Snapshot) bool { return s.Poolers[0].Rates.Xacts == 500 && s.Poolers[0].Restarted.IsZero() }},
		{"a database that comes back counts from zero", []Reading{pooled("app", 1000, "reports", 5000), pooled("app", 1000), pooled("app", 1000, "reports", 7)},
			func(s *Snapshot) bool { return s.Poolers[0].Rates.Xacts == 7 && s.Poolers[0].Restarted.IsZero() }},
		{"one database that fell is a restart, however much another grew", []Reading{pooled("app", 10, "reports", 500), pooled("app", 9000, "reports", 3)},
			func(s *Snapshot) bool {
				return s.Poolers[0].Restarted.Equal(at(1)) && s.Poolers[0].Rates == PoolerRates{}
			}},
		{"a kept connection that the pooler closed is a restart, also when the totals are larger", []Reading{pooler("pgb1", 3, 9, 0), ended(pooler("pgb1", 30, 90, 0), 1), ended(pooler("pgb1", 300, 900, 0), 2)},
			func(s *Snapshot) bool {
				return s.Poolers[0].Restarted.Equal(at(2)) && len(s.Poolers[0].Restarts) == 2 && s.Poolers[0].Rates == PoolerRates{}
			}},
		{"the end of a pause is noticed, of the pooler or of one database", []Reading{paused(true), paused(false, "app"), paused(false), paused(false)},
			func(s *Snapshot) bool { return s.Poolers[0].Resumed.Equal(at(2)) }},
		{"nothing that begins is an end", []Reading{paused(false), paused(false, "app"), paused(false, "app", "reports")},
			func(s *Snapshot) bool { return s.Poolers[0].Resumed.IsZero() }},
		{"one reading changes one pooler", []Reading{pooler("pgb2", 1, 1, 0)},
			func(s *Snapshot) bool { return !s.Poolers[0].View.Known() && s.Poolers[1].View.Known() }},
		{"a node's rates are of its frontend", []Reading{stats("haproxy1", frontend(10, 0, 0)), stats("haproxy1", frontend(45, 1000, 9000))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{35, 1000, 9000} }},
		{"a HAProxy that started again has no rate", []Reading{stats("haproxy1", frontend(900, 0, 0)), stats("haproxy1", frontend(3, 0, 0))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{} }},
		{"nor has one that has had as many sessions since, which carried less", []Reading{stats("haproxy1", frontend(25, 5_000_000, 0)), stats("haproxy1", frontend(26, 40_000, 0))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{} }},
		{"nor when less went to clients only", []Reading{stats("haproxy1", frontend(25, 0, 5_000_000)), stats("haproxy1", frontend(26, 0, 40_000))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{} }},
		{"a flap between two readings is found by HAProxy's count", []Reading{
			stats("haproxy1", server("pgb2", haproxy.Up, 1)), stats("haproxy1", server("pgb2", haproxy.Up, 3))},
			func(s *Snapshot) bool {
				f := s.Nodes[0].Flaps
				return len(f) == 1 && f[0] == Flap{"pgb2", 2, at(1)}
			}},
		{"what a node counted while it did not answer is no flap: it may have been cut off itself", []Reading{
			stats("haproxy1", server("pgb2", haproxy.Up, 1)), failed(Source{NodeStatsKind, "haproxy1"}), stats("haproxy1", server("pgb2", haproxy.Up, 2))},
			func(s *Snapshot) bool { return len(s.Nodes[0].Flaps) == 0 }},
		{"what a reading saw DOWN is no missed flap", []Reading{
			stats("haproxy1", server("pgb2", haproxy.Up, 1)), stats("haproxy1", server("pgb2", haproxy.Down, 2)), stats("haproxy1", server("pgb2", haproxy.Up, 2))},
			func(s *Snapshot) bool { return len(s.Nodes[0].Flaps) == 0 }},
		{"processes of one node count the same falls, each for itself", []Reading{
			stats("haproxy1", downs("pgb2", 1, 4)), stats("haproxy1", downs("pgb2", 2, 4)), stats("haproxy1", downs("pgb2", 2, 5)), stats("haproxy1", downs("pgb2", 2, 0))},
			func(s *Snapshot) bool {
				f := s.Nodes[0].Falls
				return len(f) == 2 && f[0] == Fall{"pgb2", 0, 1, at(1)} && f[1] == Fall{"pgb2", 1, 1, at(2)}
			}},
		{"an operator's maint, which HAProxy counts as well, is neither a fall nor a flap, seen or not", []Reading{
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 0, 5)), stats("haproxy1", counted(haproxy.NotChecked, haproxy.Maint, 1, 5)),
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 1, 5)), stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 2, 5)),
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 4, 5)), stats("haproxy1", counted(haproxy.NotChecked, haproxy.Maint, 6, 5))},
			func(s *Snapshot) bool { return len(s.Nodes[0].Falls) == 0 && len(s.Nodes[0].Flaps) == 0 }},
		{"what dies before it is put into maint, or as soon as it is ready, falls", []Reading{
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 0, 0)), stats("haproxy1", counted(haproxy.NotChecked, haproxy.Maint, 1, 2)),
			stats("haproxy1", counted(haproxy.Down, haproxy.Ready, 2, 3)), stats("haproxy1", counted(haproxy.NotChecked, haproxy.Maint, 2, 3)),
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 3, 4))},
			func(s *Snapshot) bool {
				f := s.Nodes[0].Falls
				return len(f) == 3 && f[0] == Fall{"pgb2", 0, 1, at(1)} && f[1] == Fall{"pgb2", 0, 1, at(2)} && f[2] == Fall{"pgb2", 0, 1, at(4)} && len(s.Nodes[0].Flaps) == 0
			}},
		{"a death and a maint between two readings are one fall and one flap", []Reading{
			stats("haproxy1", counted(haproxy.UpGoingDown, haproxy.Ready, 0, 1)), stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 2, 2))},
			func(s *Snapshot) bool {
				n := s.Nodes[0]
				return len(n.Falls) == 1 && n.Falls[0] == Fall{"pgb2", 0, 1, at(1)} && len(n.Flaps) == 1 && n.Flaps[0] == Flap{"pgb2", 1, at(1)}
			}},
		{"a process that started again has counted nothing yet", []Reading{
			stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 3, 9)), stats("haproxy1", counted(haproxy.Up, haproxy.Ready, 0, 0))},
			func(s *Snapshot) bool { return len(s.Nodes[0].Falls) == 0 && len(s.Nodes[0].Flaps) == 0 }},
		{"one of two processes that starts again takes nothing from the rates", []Reading{
			processes(process(1000, 0, haproxy.Up), process(3000, 0, haproxy.Up)), processes(process(1040, 0, haproxy.Up), process(5, 0, haproxy.Up))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{45, 4500, 45000} }},
		{"nor does it when its fellow had so much more that the sum grew", []Reading{
			processes(process(1000, 0, haproxy.Up), process(30, 0, haproxy.Up)), processes(process(1040, 0, haproxy.Up), process(5, 0, haproxy.Up)),
			processes(process(1060, 0, haproxy.Up), process(6, 0, haproxy.Up))},
			func(s *Snapshot) bool {
				front, _ := s.Nodes[0].Stats.Value.Find("postgres", "FRONTEND")
				return s.Nodes[0].Rates == NodeRates{21, 2100, 21000} && front.SessionsTotal == 1060+30+6
			}},
		{"nor when it starts again a second time, also while it is not heard", []Reading{
			processes(process(1000, 0, haproxy.Up), process(30, 0, haproxy.Up)), processes(process(1000, 0, haproxy.Up), process(5, 0, haproxy.Up)),
			failed(Source{NodeStatsKind, "haproxy1"}), processes(process(1000, 0, haproxy.Up), process(4, 0, haproxy.Up))},
			func(s *Snapshot) bool { return s.Nodes[0].Rates == NodeRates{2, 200, 2000} }},
		{"what its fellow counts meanwhile is no fall less", []Reading{
			processes(process(10, 1, haproxy.Up), process(10, 5, haproxy.Up)), processes(process(20, 2, haproxy.Up), process(1, 0, haproxy.Up)),
			processes(process(20, 2, haproxy.Up), process(2, 1, haproxy.Up))},
			func(s *Snapshot) bool {
				n := s.Nodes[0]
				return len(n.Flaps) == 2 && n.Flaps[0] == Flap{"pgb2", 1, at(1)} && n.Flaps[1] == Flap{"pgb2", 1, at(2)} &&
					len(n.Falls) == 2 && n.Falls[0] == Fall{"pgb2", 0, 1, at(1)} && n.Falls[1] == Fall{"pgb2", 1, 1, at(2)}
			}},
		{"all processes that start again one after the other, as when they are reloaded, make no flap and no rate below zero", []Reading{
			processes(process(900, 4, haproxy.Up), process(800, 4, haproxy.Up)), processes(process(1, 0, haproxy.Up), process(810, 4, haproxy.Up)),
			processes(process(2, 0, haproxy.Up), process(1, 0, haproxy.Up))},
			func(s *Snapshot) bool {
				n := s.Nodes[0]
				return n.Rates == NodeRates{2, 200, 2000} && len(n.Flaps) == 0 && len(n.Falls) == 0
			}},
		{"a reading of a part the inventory does not have changes no part", []Reading{pooler("pgb9", 1, 1, 0)},
			func(s *Snapshot) bool { return len(s.Poolers) == 3 && s.Version == 1 }},
	} {
		t.Run(row.why, func(t *testing.T) {
			s := First(inventory.Default())
			for i, r := range row.readings {
				r.At = at(float64(i))
				s = Fold(s, r)
			}
			if !row.want(s) {
				t.Errorf("nodes %+v\npoolers %+v", s.Nodes, s.Poolers)
			}
		})
	}
}

func TestFoldLeavesTheSnapshotBeforeAsItWas(t *testing.T) {
	one := Fold(First(inventory.Default()), pooler("pgb1", 1, 1, 0))
	two := Fold(one, pooler("pgb1", 2, 2, 0))
	if have := one.Poolers[0].View.Value.Stats[0].TotalXactCount; have != 1 {
		t.Errorf("the snapshot before says %d now", have)
	}
	if &one.Nodes[0] != &two.Nodes[0] {
		t.Error("what did not change was copied")
	}
}

func TestHolders(t *testing.T) {
	state := func(node string, vip bool) Reading {
		return Reading{Source: Source{NodeStateKind, node}, At: noon, Value: haproxy.NodeState{Node: node, VIP: vip}}
	}
	s := First(inventory.Default())
	s = Fold(s, state("haproxy1", true))
	s = Fold(s, state("haproxy2", true))
	if h := s.Holders(); len(h) != 2 {
		t.Errorf("two nodes find the VIP at home, and the holders are %v", h)
	}
	s = Fold(s, failed(Source{NodeStateKind, "haproxy1"}))
	if h := s.Holders(); len(h) != 1 || h[0] != "haproxy2" {
		t.Errorf("a node that does not answer is no evidence, and the holders are %v", h)
	}
}

// BenchmarkFold is one second of a large cluster: 2 nodes with 50 servers each, and 50 poolers.
func BenchmarkFold(b *testing.B) {
	inv := inventory.Default()
	var readings []Reading
	var rows []haproxy.Row
	inv.PgBouncer.Poolers = nil
	for i := range 50 {
		name := "pgb" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		inv.PgBouncer.Poolers = append(inv.PgBouncer.Poolers, inventory.Node{Name: name})
		rows = append(rows, server(name, haproxy.Up, 0))
		readings = append(readings, pooler(name, 1, 1, 0))
	}
	for _, n := range inv.HAProxy.Nodes {
		readings = append(readings, stats(n.Name, rows...))
	}
	s := First(inv)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range readings {
			s = Fold(s, r)
		}
	}
}

func downs(name string, by ...int64) haproxy.Row {
	r := server(name, haproxy.Up, 0)
	for _, n := range by {
		r.Downs, r.Fails = append(r.Downs, n), append(r.Fails, 2*n)
	}
	return r
}

// counted is a server of a node with one process, in a state that an operator ordered or a check found.
func counted(state haproxy.State, admin haproxy.Admin, downs, fails int64) haproxy.Row {
	r := server("pgb2", state, downs)
	r.Admin, r.CheckFails, r.Downs, r.Fails = admin, fails, []int64{downs}, []int64{fails}
	return r
}

// process is what one process of a node counts, and processes are two of haproxy1.
func process(sessions, downs int64, state haproxy.State) []haproxy.Row {
	return []haproxy.Row{frontend(sessions, 100*sessions, 1000*sessions), server("pgb2", state, downs)}
}

func processes(a, b []haproxy.Row) Reading {
	return Reading{Source: Source{NodeStatsKind, "haproxy1"}, Value: haproxy.Merge("haproxy1", a, b)}
}

func ended(r Reading, times int64) Reading {
	v := r.Value.(PoolerView)
	v.Ended = times
	r.Value = v
	return r
}
