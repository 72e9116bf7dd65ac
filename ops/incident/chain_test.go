package incident

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

var (
	start      = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	errRefused = fmt.Errorf("dial tcp 192.168.1.22:6432: %w", syscall.ECONNREFUSED)
	errTimeout = errors.New("no answer within 900ms: context deadline exceeded")
)

// chain is a cluster whose parts can be broken. Every look reads all of them, a second apart.
type chain struct {
	inv  *inventory.Inventory
	s    *fleet.Snapshot
	now  time.Time
	node map[string]*node
	pool map[string]*pool

	probe            postgres.Probe
	probeErr, answer error
	through          error
	idle             bool // no transaction ends
}

type node struct {
	state haproxy.NodeState
	err   error // of both endpoints
	stats error
	rows  map[string]haproxy.Row
}

type pool struct {
	view  fleet.PoolerView
	err   error
	total int64
}

func healthy() *chain {
	inv := inventory.Default()
	c := &chain{inv: inv, s: fleet.First(inv), now: start, node: map[string]*node{}, pool: map[string]*pool{},
		probe: postgres.Probe{MaxConnections: 250, Connections: 60, OldestXIDAge: 1000, OldestXIDDatabase: "postgres"}}
	for i, n := range inv.HAProxy.Nodes {
		c.node[n.Name] = &node{rows: map[string]haproxy.Row{}, state: haproxy.NodeState{Node: n.Name, Keepalived: true, Ready: true,
			VRRP: []string{"MASTER", "BACKUP"}[min(i, 1)], VIP: i == 0, Poolers: 3, PoolersTotal: 3}}
	}
	for _, p := range inv.PgBouncer.Poolers {
		c.pool[p.Name] = &pool{view: fleet.PoolerView{State: pgbouncer.State{Active: true},
			Pools: []pgbouncer.Pool{{Database: "app", ClActive: 100, SvActive: 10}}}}
		c.haproxySays(p.Name, haproxy.Up, haproxy.Ready, "L7OK")
	}
	return c
}

// haproxySays sets what nodes say about a pooler; no nodes is all.
func (c *chain) haproxySays(pooler string, state haproxy.State, admin haproxy.Admin, check string, nodes ...string) {
	if len(nodes) == 0 {
		nodes = c.inv.HAProxy.NodeNames()
	}
	for _, n := range nodes {
		row := c.node[n].rows[pooler]
		if row.State.Serving() && !state.Serving() { // an order counts as well, and fails no check
			row.CheckDowns++
			if state == haproxy.Down {
				row.CheckFails += 2
			}
		}
		row.Proxy, row.Name, row.Kind = fleet.PoolerBackend, pooler, haproxy.Server
		row.State, row.Admin, row.Check, row.LastChange = state, admin, check, time.Second
		c.node[n].rows[pooler] = row
	}
}

func (c *chain) kill(pooler string) {
	c.haproxySays(pooler, haproxy.Down, haproxy.Ready, "L4CON")
	c.pool[pooler].err = errRefused
}

func (c *chain) freeze(pooler string) {
	c.haproxySays(pooler, haproxy.Down, haproxy.Ready, "L7TOUT")
	c.pool[pooler].err = errTimeout
}

func (c *chain) mend(pooler string) {
	c.haproxySays(pooler, haproxy.Up, haproxy.Ready, "L7OK")
	c.pool[pooler].err = nil
}

func (c *chain) killPostgres() { c.probeErr, c.through, c.idle = errRefused, errTimeout, true }

func (c *chain) startPostgres() { c.probeErr, c.through, c.idle = nil, nil, false }

// pause pauses databases on every pooler; the others go on.
func (c *chain) pause(databases []string, others ...string) {
	for _, p := range c.pool {
		p.view.Databases = []pgbouncer.Database{{Name: "pgbouncer"}, {Name: "weir_auth"}}
		for _, d := range databases {
			p.view.Databases = append(p.view.Databases, pgbouncer.Database{Name: d, Paused: true})
		}
		for _, d := range others {
			p.view.Databases = append(p.view.Databases, pgbouncer.Database{Name: d})
		}
	}
}

func (c *chain) moveVIP(from, to string) {
	c.node[from].state.VIP, c.node[from].state.VRRP = false, "BACKUP"
	c.node[to].state.VIP, c.node[to].state.VRRP = true, "MASTER"
}

func (c *chain) cutMonitor(err error) {
	for _, n := range c.node {
		n.err = err
	}
	for _, p := range c.pool {
		p.err = err
	}
	c.probeErr, c.through, c.answer = err, err, err
}

// look polls everything once, a second after the last time.
func (c *chain) look() { c.lookAfter(time.Second) }

func (c *chain) lookAfter(d time.Duration) {
	c.now = c.now.Add(d)
	read := func(kind fleet.Kind, name string, value any, err error) {
		c.s = fleet.Fold(c.s, fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: c.now, Took: 10 * time.Millisecond, Value: value, Err: err})
	}
	holder := ""
	for _, n := range c.inv.HAProxy.Nodes {
		is := c.node[n.Name]
		read(fleet.NodeStateKind, n.Name, is.state, is.err)
		stats := haproxy.Stats{Node: n.Name}
		for _, p := range c.inv.PgBouncer.Poolers {
			stats.Rows = append(stats.Rows, is.rows[p.Name])
		}
		read(fleet.NodeStatsKind, n.Name, stats, errors.Join(is.err, is.stats))
		if is.state.VIP && is.err == nil {
			holder = n.Name
		}
	}
	for _, p := range c.inv.PgBouncer.Poolers {
		is := c.pool[p.Name]
		if is.err == nil && !c.idle {
			is.total += 100
		}
		is.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: is.total, TotalQueryCount: is.total}}
		read(fleet.PoolerKind, p.Name, is.view, is.err)
	}
	answer := c.answer
	if holder == "" {
		answer = errTimeout
	}
	read(fleet.AnswerKind, "", holder, answer)
	read(fleet.ThroughKind, "", postgres.Passage{Elapsed: 3 * time.Millisecond}, c.through)
	read(fleet.DirectKind, "", c.probe, c.probeErr)
}

// kinds are those findings that count at once or have lasted, by cause.
func (c *chain) certain() map[string]Finding {
	out := map[string]Finding{}
	for _, f := range Findings(c.s, c.inv, c.now) {
		if !f.Unsure {
			out[f.Cause] = f
		}
	}
	return out
}

// watch is a monitor without a clock, a disk or a Slack.
type watch struct {
	*chain
	t      *testing.T
	book   Book
	ids    int
	rules  Rules
	wishes Wishes
	said   []string // "reason cause"
	did    []Transition
}

func watching(t *testing.T) *watch {
	w := &watch{chain: healthy(), t: t}
	w.rules = DefaultRules(func() string { w.ids++; return fmt.Sprintf("id-%d", w.ids) })
	w.pass(3 * time.Second)
	if len(w.said) > 0 || len(w.did) > 0 {
		t.Fatalf("a healthy chain says %q, does %v", w.said, w.did)
	}
	return w
}

// pass lets time go by, with a look each second.
func (w *watch) pass(d time.Duration) {
	for range int(d / time.Second) {
		w.look()
		w.decide()
	}
}

// passSlowly lets long times go by, with a look each minute.
func (w *watch) passSlowly(d time.Duration) {
	for range int(d / time.Minute) {
		w.lookAfter(time.Minute)
		w.decide()
	}
}

func (w *watch) decide() {
	var done []Transition
	w.book, done = w.rules.Advance(w.book, Holder(w.s), Findings(w.s, w.inv, w.now), w.now)
	w.did = append(w.did, done...)
	for _, i := range w.book.Incidents() {
		d := DefaultPolicy().Speak(i, w.wishes, w.now)
		if d.Reason != None {
			w.said = append(w.said, string(d.Reason)+" "+i.Cause)
			w.book = w.book.Note(i, d, w.now)
		}
	}
}

func (w *watch) incident(cause string) Incident {
	w.t.Helper()
	e, ok := w.book.Entries[cause]
	if !ok {
		w.t.Fatalf("no incident of %s in %v", cause, w.book.Entries)
	}
	return e.Incident
}
