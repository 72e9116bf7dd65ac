package runbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

var (
	_ Node   = (*haproxy.Client)(nil)
	_ Pooler = (*pgbouncer.Client)(nil)
	_ Fleet  = (*fleet.Hub)(nil)
)

var inv = inventory.Default()

var operator = Actor{Kind: User, ID: 7, Name: "ada@example.org", Role: Operator}

var errDead = errors.New("connection refused")

// chain is a cluster of fakes: what orders do to it can be read back, and every part can fail.
type chain struct {
	mu       sync.Mutex
	nodes    map[string]*fakeNode
	poolers  map[string]*fakePooler
	hub      *fleet.Hub
	log      []string // what happened, in order
	pauses   fakePauses
	journal  fakeJournal
	spool    *fakeSpool
	backends map[int]Backend
	told     []string // what reached Incidents
	ids      atomic.Int64
	moves    bool // whether the VIP obeys a hold
}

func newChain() *chain {
	c := &chain{nodes: map[string]*fakeNode{}, poolers: map[string]*fakePooler{}, backends: map[int]Backend{}, moves: true}
	for _, name := range inv.HAProxy.NodeNames() {
		n := &fakeNode{c: c, name: name, admin: map[string]haproxy.Admin{}, state: haproxy.NodeState{Node: name, VRRP: "BACKUP",
			Keepalived: true, Poolers: 3, PoolersTotal: 3, Ready: true}}
		for _, p := range inv.PgBouncer.PoolerNames() {
			n.admin[p] = haproxy.Ready
		}
		c.nodes[name] = n
	}
	c.nodes["haproxy1"].state.VIP, c.nodes["haproxy1"].state.VRRP = true, "MASTER"
	for _, name := range inv.PgBouncer.PoolerNames() {
		c.poolers[name] = &fakePooler{c: c, name: name, databases: map[string]bool{"app": false, "other": false}}
	}
	c.pauses.c = c
	c.spool = &fakeSpool{entries: map[string]Entry{}}
	c.hub = fleet.NewHub(fleet.First(inv))
	c.poll()
	return c
}

func (c *chain) runbook() *Runbook {
	d := Deps{Inventory: inv, Fleet: c.hub, Nodes: map[string]Node{}, Poolers: map[string]Pooler{}, Backends: c, Incidents: c,
		Pauses: &c.pauses, Journal: &c.journal, Spool: c.spool, NewID: func() string { return fmt.Sprintf("id-%02d", c.ids.Add(1)) }}
	for name, n := range c.nodes {
		d.Nodes[name] = n
	}
	for name, p := range c.poolers {
		d.Poolers[name] = p
	}
	return New(d)
}

// poll reads every part once, as the fleet does.
func (c *chain) poll() {
	ctx := context.Background()
	read := func(kind fleet.Kind, name string, value any, err error) {
		c.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: time.Now(), Value: value, Err: err})
	}
	for name, n := range c.nodes {
		state, err := n.Node(ctx)
		read(fleet.NodeStateKind, name, state, err)
		stats, err := n.Stats(ctx)
		read(fleet.NodeStatsKind, name, stats, err)
		if state.VIP {
			read(fleet.AnswerKind, "", name, nil)
		}
	}
	for name, p := range c.poolers {
		view, err := p.view(ctx)
		read(fleet.PoolerKind, name, view, err)
	}
	read(fleet.DirectKind, "", postgres.Probe{MaxConnections: 250}, nil)
}

// polls goes on reading every second until the test ends.
func (c *chain) polls(t *testing.T) {
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.poll()
			case <-t.Context().Done():
				return
			}
		}
	}()
}

func (c *chain) happened(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

type fakeNode struct {
	c     *chain
	name  string
	state haproxy.NodeState
	admin map[string]haproxy.Admin
	down  map[string]bool // poolers that are DOWN
	dead  bool            // answers nothing
	deaf  bool            // answers, and obeys no order
	hung  bool            // answers, and takes for ever over an order
	after func()          // runs after the next order
}

func (n *fakeNode) Node(context.Context) (haproxy.NodeState, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.dead {
		return haproxy.NodeState{}, errDead
	}
	return n.state, nil
}

func (n *fakeNode) Stats(context.Context) (haproxy.Stats, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.dead {
		return haproxy.Stats{}, errDead
	}
	s := haproxy.Stats{Node: n.name}
	for _, p := range inv.PgBouncer.PoolerNames() {
		row := haproxy.Row{Proxy: haproxy.Poolers, Name: p, Kind: haproxy.Server, State: haproxy.Up, Admin: n.admin[p], SessionsLimit: 4000}
		if n.state.VIP {
			row.Sessions = 100
		}
		if n.down[p] {
			row.State = haproxy.Down
		}
		s.Rows = append(s.Rows, row)
	}
	return s, nil
}

func (n *fakeNode) SetServer(ctx context.Context, backend, server string, to haproxy.Admin) error {
	if n.hung {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.dead || n.deaf {
		return errDead
	}
	n.admin[server] = to
	n.c.happened("%s: %s %s/%s", n.name, to, backend, server)
	if n.after != nil {
		n.after()
	}
	return nil
}

func (n *fakeNode) SetHold(ctx context.Context, on bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.dead || n.deaf {
		return errDead
	}
	n.state.Hold = on
	n.c.happened("%s: hold %t", n.name, on)
	if on && n.state.VIP && n.c.moves {
		time.AfterFunc(950*time.Millisecond, func() {
			n.c.mu.Lock()
			defer n.c.mu.Unlock()
			for _, each := range n.c.nodes {
				each.state.VIP = each != n
			}
		})
	}
	return nil
}

type fakePooler struct {
	c         *chain
	name      string
	whole     bool
	databases map[string]bool // paused
	clients   int64
	dead      bool
	lies      bool          // says it paused
	stuck     bool          // answers, and does not reload
	why       error         // nor does it with this
	gate      chan struct{} // a PAUSE waits for it: somebody is idle in a transaction
	before    func()        // runs before the next PAUSE
}

func (p *fakePooler) State(context.Context) (pgbouncer.State, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.dead {
		return pgbouncer.State{}, errDead
	}
	return pgbouncer.State{Active: !p.whole, Paused: p.whole}, nil
}

func (p *fakePooler) Databases(context.Context) ([]pgbouncer.Database, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.dead {
		return nil, errDead
	}
	var out []pgbouncer.Database
	for _, name := range slices.Sorted(maps.Keys(p.databases)) {
		out = append(out, pgbouncer.Database{Name: name, Paused: p.databases[name]})
	}
	return out, nil
}

func (p *fakePooler) view(ctx context.Context) (v fleet.PoolerView, err error) {
	if v.State, err = p.State(ctx); err != nil {
		return v, err
	}
	v.Pools = []pgbouncer.Pool{{Database: "app", User: "app", ClActive: p.clients, SvActive: 3}}
	v.Databases, err = p.Databases(ctx)
	return v, err
}

func (p *fakePooler) Pause(ctx context.Context, database string) error {
	if p.before != nil {
		p.before()
	}
	if p.gate != nil {
		select {
		case <-p.gate:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil || p.lies {
		return ctx.Err()
	}
	return p.order("PAUSE", database, true)
}

func (p *fakePooler) Resume(ctx context.Context, database string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.order("RESUME", database, false)
}

func (p *fakePooler) order(verb, database string, paused bool) error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.dead {
		return errDead
	}
	was := p.whole
	if database != "" {
		was = p.databases[database]
	}
	if was == paused {
		return fmt.Errorf("%s: it is so already", verb)
	}
	if database == "" {
		p.whole = paused
	} else {
		p.databases[database] = paused
	}
	p.c.happened("%s: %s %s", p.name, verb, database)
	return nil
}

func (p *fakePooler) Reconnect(_ context.Context, database string) error {
	return p.plain("RECONNECT " + database)
}

func (p *fakePooler) Reload(context.Context) error {
	if p.stuck || p.why != nil {
		return cmp.Or(p.why, errDead)
	}
	return p.plain("RELOAD")
}

func (p *fakePooler) plain(verb string) error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.dead {
		return errDead
	}
	p.c.happened("%s: %s", p.name, verb)
	return nil
}

type fakePauses struct {
	c    *chain
	list []Paused
	err  error
}

func (f *fakePauses) Save(_ context.Context, pauses []Paused) error {
	if f.err != nil {
		return f.err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	for _, p := range pauses {
		f.list = slices.DeleteFunc(f.list, func(o Paused) bool { return o.Pooler == p.Pooler && o.Database == p.Database })
		f.list = append(f.list, p)
		f.c.happened("saved pause of %s %s", p.Pooler, p.Database)
	}
	return nil
}

func (f *fakePauses) Forget(_ context.Context, p Paused) error {
	if f.err != nil {
		return f.err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.list = slices.DeleteFunc(f.list, func(o Paused) bool { return o == p })
	return nil
}

func (f *fakePauses) List(context.Context) ([]Paused, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return slices.Clone(f.list), f.err
}

type fakeJournal struct {
	mu      sync.Mutex
	entries []Entry
	err     error
}

func (f *fakeJournal) Record(_ context.Context, e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if !slices.ContainsFunc(f.entries, func(o Entry) bool { return o.ID == e.ID }) {
		f.entries = append(f.entries, e)
	}
	return nil
}

type fakeSpool struct {
	mu      sync.Mutex
	entries map[string]Entry
	err     error
}

func (f *fakeSpool) Save(e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.entries[e.ID] = e
	}
	return f.err
}

func (f *fakeSpool) Remove(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.entries, id)
	return nil
}

func (f *fakeSpool) List() ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Entry
	for _, id := range slices.Sorted(maps.Keys(f.entries)) {
		out = append(out, f.entries[id])
	}
	return out, nil
}

func (c *chain) Find(_ context.Context, pid int) (Backend, error) {
	b, ok := c.backends[pid]
	if !ok {
		return Backend{}, fault.Errorf(fault.NotFound, "There is no backend %d any more.", pid)
	}
	return b, nil
}

func (c *chain) Cancel(_ context.Context, pid int) error {
	c.happened("cancel %d", pid)
	return nil
}

func (c *chain) Terminate(_ context.Context, pid int) error {
	c.happened("terminate %d", pid)
	return nil
}

func (c *chain) Acknowledge(_ context.Context, id, by, reason string, _ time.Time) error {
	c.told = append(c.told, "acknowledge "+id+" by "+by)
	return nil
}

func (c *chain) Silence(_ context.Context, s Silenced) (int64, error) {
	c.told = append(c.told, fmt.Sprintf("silence %s %s for %s: %s", s.Cause, s.Subject, s.Until.Sub(s.At), s.Reason))
	return 5, nil
}

func (c *chain) Unsilence(_ context.Context, id int64, by string, _ time.Time) error {
	c.told = append(c.told, fmt.Sprintf("unsilence %d by %s", id, by))
	return nil
}

func (c *chain) Test(_ context.Context, channel string, _ time.Time) error {
	c.told = append(c.told, "test "+channel)
	return nil
}
