// Package chaintest makes chains to draw: for tests, and for the storybook.
package chaintest

import (
	"errors"
	"net/netip"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/views/chain"
	"weir/views/ui"
)

// Noon is when every chain here is looked at.
var Noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Chain is a snapshot that can be broken before it is looked at.
type Chain struct {
	Snapshot  *fleet.Snapshot
	Inventory *inventory.Inventory
	Open      []incident.Incident
	Pauses    []chain.Pause
}

// Healthy is the default cluster, half an hour after the last change, with some traffic.
func Healthy() *Chain {
	inv := inventory.Default()
	s := fleet.First(inv)
	s.Version, s.At = 1800, Noon.Add(-300*time.Millisecond)
	s.VIP.Answers = seen("haproxy1")
	s.VIP.Through = seen(postgres.Passage{Server: netip.MustParseAddrPort("192.168.1.30:5432"), Version: "17.6",
		Connected: 2100 * time.Microsecond, Elapsed: 3400 * time.Microsecond})
	for i := range s.Nodes {
		node(&s.Nodes[i], i == 0)
	}
	for i := range s.Poolers {
		pooler(&s.Poolers[i], int64(i))
	}
	s.Postgres.Probe = seen(postgres.Probe{Version: "17.6 (Debian 17.6-0+deb13u1)", StartTime: Noon.Add(-9 * 24 * time.Hour), MaxConnections: 250,
		Connections: 141, LongestXact: 1900 * time.Millisecond, LongestXactPID: 4211, OldestXIDAge: 61_204_113, OldestXIDDatabase: "app"})
	s.Postgres.Sizes = seen([]postgres.Size{{Database: "app", Bytes: 48 << 30}, {Database: "weir", Bytes: 310 << 20}, {Database: "postgres", Bytes: 7 << 20}})
	return &Chain{Snapshot: s, Inventory: inv}
}

func seen[T any](v T) fleet.Observation[T] {
	return fleet.Observation[T]{Value: v, Seen: Noon.Add(-300 * time.Millisecond), Tried: Noon.Add(-300 * time.Millisecond),
		Took: 2 * time.Millisecond, Since: Noon.Add(-30 * time.Minute)}
}

// silent is a source that stopped answering 14 s ago.
func silent[T any](o *fleet.Observation[T], why string) {
	o.Seen, o.Since, o.Err, o.Failures = Noon.Add(-14*time.Second), Noon.Add(-13*time.Second), errors.New(why), 13
}

func node(n *fleet.Node, holds bool) {
	state := haproxy.NodeState{Node: n.Name, VRRP: "BACKUP", Keepalived: true, Poolers: 3, PoolersTotal: 3, Ready: true}
	sessions := int64(0)
	if holds {
		state.VRRP, state.VIP, sessions = "MASTER", true, 1834
		n.Rates = fleet.NodeRates{Sessions: 41.6, BytesIn: 812_000, BytesOut: 5_300_000}
	}
	n.State = seen(state)
	rows := []haproxy.Row{{Proxy: "postgres", Name: "FRONTEND", Kind: haproxy.Frontend, State: haproxy.Open, Sessions: sessions,
		SessionsMax: 2410, SessionsLimit: 12500, SessionsTotal: 918_221, Rate: 42}}
	for i, name := range []string{"pgb1", "pgb2", "pgb3"} {
		rows = append(rows, haproxy.Row{Proxy: fleet.PoolerBackend, Name: name, Kind: haproxy.Server, State: haproxy.Up, Admin: haproxy.Ready,
			Addr: []string{"192.168.1.21:6432", "192.168.1.22:6432", "192.168.1.23:6432"}[i], Sessions: sessions / 3, SessionsLimit: 4000,
			SessionsTotal: 306_000 + int64(i), Check: "L7OK", CheckDuration: 2 * time.Millisecond, LastCheck: "PgBouncer 1.24.1",
			LastChange: 4 * time.Hour, CheckDowns: 1, CheckFails: 3, Downtime: 41 * time.Second})
	}
	n.Stats = seen(haproxy.Stats{Node: n.Name, Rows: rows})
}

func pooler(p *fleet.Pooler, i int64) {
	p.View = seen(fleet.PoolerView{Version: "PgBouncer 1.24.1", State: pgbouncer.State{Active: true},
		Pools: []pgbouncer.Pool{
			{Database: "app", User: "app", ClActive: 590 + 9*i, ClWaiting: 0, SvActive: 38 + i, SvIdle: 9, PoolMode: "transaction"},
			{Database: "app", User: "report", ClActive: 12, SvActive: 1, SvIdle: 2, PoolMode: "transaction"},
			{Database: "pgbouncer", User: "weir_monitor", ClActive: 1, PoolMode: "statement"}},
		Stats: []pgbouncer.Stat{{Database: "app", TotalXactCount: 81_022_113, TotalQueryCount: 402_118_220, TotalReceived: 91 << 30, TotalSent: 612 << 30}},
		Lists: map[string]int64{"databases": 2, "users": 4, "pools": 3, "used_clients": 603, "used_servers": 48},
		Databases: []pgbouncer.Database{{Name: "app", Host: "192.168.1.30", Port: 5432, Database: "app", PoolSize: 70, ReservePoolSize: 3,
			MaxConnections: 73, CurrentConnections: 50}}})
	p.Rates = fleet.PoolerRates{Xacts: 493 - 7*float64(i), Queries: 2480, Received: 280_000, Sent: 1_760_000, MeanXact: 5200 * time.Microsecond,
		MeanQuery: 840 * time.Microsecond, MeanWait: 31 * time.Microsecond, Over: time.Second}
}

// View is the chain as pages see it: with what the monitor would find.
func (c *Chain) View() chain.View {
	return chain.View{Clock: ui.Clock{Now: Noon}, Snapshot: c.Snapshot, Inventory: c.Inventory,
		Findings: incident.Findings(c.Snapshot, c.Inventory, Noon), Open: c.Open, Pauses: c.Pauses}
}

// Says changes what nodes say about a pooler; no nodes is all.
func (c *Chain) Says(pooler string, change func(*haproxy.Row), nodes ...string) *Chain {
	for i := range c.Snapshot.Nodes {
		n := &c.Snapshot.Nodes[i]
		if len(nodes) > 0 && nodes[0] != n.Name {
			continue
		}
		for j := range n.Stats.Value.Rows {
			if n.Stats.Value.Rows[j].Name == pooler {
				change(&n.Stats.Value.Rows[j])
			}
		}
	}
	return c
}

// Down is a pooler that refuses connections.
func (c *Chain) Down(name string) *Chain {
	c.Says(name, down)
	for i := range c.Snapshot.Poolers {
		if p := &c.Snapshot.Poolers[i]; p.Name == name {
			silent(&p.View, "ask "+name+": connect to "+p.Address+":6432: connection refused")
			p.Rates = fleet.PoolerRates{}
		}
	}
	return c.opened("pooler-down/"+name, name, name+" down", 12*time.Second)
}

func down(r *haproxy.Row) {
	r.State, r.Check, r.LastCheck, r.LastChange, r.Sessions, r.CheckDowns = haproxy.Down, "L4CON", "Connection refused", 12*time.Second, 0, 2
}

// Drain is an operator's order.
func (c *Chain) Drain(name string) *Chain {
	c.Says(name, func(r *haproxy.Row) { r.Admin = haproxy.Drain })
	return c.opened("pooler-down/"+name, name, name+" in drain", 4*time.Minute)
}

// Dispute lets only the second node see a pooler DOWN.
func (c *Chain) Dispute(name string) *Chain {
	c.Says(name, down, "haproxy2")
	return c.opened("pooler-disputed/"+name, name, "HAProxies disagree about "+name, 40*time.Second)
}

// Pause is an operator's order to every pooler.
func (c *Chain) Pause() *Chain {
	silent(&c.Snapshot.VIP.Through, "query through 192.168.1.100:5432: no answer within 900ms")
	for i := range c.Snapshot.Poolers {
		c.Snapshot.Poolers[i].Rates = fleet.PoolerRates{Over: time.Second}
		v := &c.Snapshot.Poolers[i].View.Value
		v.State = pgbouncer.State{Paused: true}
		v.Pools[0].ClWaiting, v.Pools[0].MaxWait = 14, 3*time.Second
	}
	c.Pauses = []chain.Pause{{Poolers: []string{"pgb1", "pgb2", "pgb3"}, By: "ada@example.org", Reason: "restart of PostgreSQL", Ends: Noon.Add(80 * time.Second)}}
	return c.opened("pool-paused", "", "Pools paused", 4*time.Second)
}

// NoPostgres is a database server that refuses.
func (c *Chain) NoPostgres() *Chain {
	s := c.Snapshot
	silent(&s.Postgres.Probe, "probe postgres 192.168.1.30:5432: connection refused")
	silent(&s.VIP.Through, "query through 192.168.1.100:5432: no answer within 900ms")
	for i := range s.Poolers {
		p := &s.Poolers[i]
		p.Rates = fleet.PoolerRates{Over: time.Second}
		p.View.Value.Pools[0].ClWaiting, p.View.Value.Pools[0].MaxWait = 221, 12*time.Second
	}
	return c.opened("postgres-down", s.Postgres.Name, "PostgreSQL down", 12*time.Second)
}

// Blocked are sessions that wait for a lock.
func (c *Chain) Blocked(n int) *Chain {
	c.Snapshot.Postgres.Rates = fleet.PostgresRates{Xacts: 1412, Over: 10 * time.Second}
	c.Snapshot.Postgres.Probe.Value.Blocked = n
	return c
}

// NodeGone is the second HAProxy node cut off.
func (c *Chain) NodeGone() *Chain {
	n := &c.Snapshot.Nodes[1]
	silent(&n.State, "read /vrrp of haproxy2: no answer within 900ms")
	silent(&n.Stats, "read statistics of haproxy2: no answer within 900ms")
	return c.opened("haproxy-unreachable/haproxy2", "haproxy2", "haproxy2 unreachable", 12*time.Second)
}

// TwoHolders is a VIP on both nodes.
func (c *Chain) TwoHolders() *Chain {
	n := &c.Snapshot.Nodes[1]
	n.State.Value.VIP, n.State.Value.VRRP = true, "MASTER"
	return c.opened("vip-twice", "", "VIP held by haproxy1 and haproxy2", 3*time.Second)
}

// Nothing is a console that has just started.
func Nothing() *Chain {
	inv := inventory.Default()
	return &Chain{Snapshot: fleet.First(inv), Inventory: inv}
}

// Flapping is a pooler that serves now, and was DOWN three times of late.
func (c *Chain) Flapping(name string) *Chain {
	c.opened("pooler-down/"+name, name, name+" down", 50*time.Second)
	i := &c.Open[len(c.Open)-1]
	i.State, i.Flaps, i.Severity = incident.Flapping, 3, incident.Warning
	return c
}

// NoHolder is a VIP that no node has.
func (c *Chain) NoHolder() *Chain {
	n := &c.Snapshot.Nodes[0]
	n.State.Value.VIP, n.State.Value.VRRP = false, "BACKUP"
	silent(&c.Snapshot.VIP.Answers, "read /node of 192.168.1.100: no answer within 900ms")
	silent(&c.Snapshot.VIP.Through, "query through 192.168.1.100:5432: no answer within 900ms")
	return c.opened("vip-nobody", "", "VIP held by nobody", 6*time.Second)
}

// Silent is a query through the VIP that is not answered.
func (c *Chain) Silent() *Chain {
	silent(&c.Snapshot.VIP.Through, "query through 192.168.1.100:5432: no answer within 900ms")
	return c
}

// Blind is a console that asks, and nothing answers.
func (c *Chain) Blind() *Chain {
	s := c.Snapshot
	silent(&s.VIP.Answers, "read /node of 192.168.1.100: no answer within 900ms")
	silent(&s.VIP.Through, "query through 192.168.1.100:5432: no answer within 900ms")
	silent(&s.Postgres.Probe, "probe postgres 192.168.1.30:5432: no answer within 900ms")
	for i := range s.Nodes {
		silent(&s.Nodes[i].State, "read /vrrp of "+s.Nodes[i].Name+": no answer within 900ms")
		silent(&s.Nodes[i].Stats, "read statistics of "+s.Nodes[i].Name+": no answer within 900ms")
	}
	for i := range s.Poolers {
		silent(&s.Poolers[i].View, "ask "+s.Poolers[i].Name+": no answer within 900ms")
	}
	return c.opened("monitor-blind", c.Inventory.Monitor.Name, "Monitor blind", 12*time.Second)
}

// Deaf is a console that has read nothing for a while.
func (c *Chain) Deaf() *Chain {
	c.Snapshot.At = Noon.Add(-47 * time.Second)
	return c
}

// Before lets what was broken last have been so for longer.
func (c *Chain) Before(ago time.Duration) *Chain {
	i := &c.Open[len(c.Open)-1]
	i.Since, i.OpenedAt = Noon.Add(-ago), Noon.Add(-ago)
	return c
}

func (c *Chain) opened(cause, subject, title string, ago time.Duration) *Chain {
	c.Open = append(c.Open, incident.Incident{ID: "0199e0a2-7c1e-7b3a-9d6e-5f5ad3c2a001", State: incident.Firing, Since: Noon.Add(-ago), OpenedAt: Noon.Add(-ago),
		Finding: incident.Finding{Cause: cause, Subject: subject, Title: title}})
	return c
}
