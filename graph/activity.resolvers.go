package graph

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/pgbouncer"
	"weir/ops/runbook"
)

// Pools is what one pooler lists; pgbouncer.Client is one.
type Pools interface {
	Clients(ctx context.Context) ([]pgbouncer.Socket, error)
	Servers(ctx context.Context) ([]pgbouncer.Socket, error)
	Config(ctx context.Context) ([]pgbouncer.Setting, error)
}

// Edge is the session tables of the HAProxy nodes.
type Edge interface {
	// Clients is whose connections HAProxy passes on: from its own end of the connection to the pooler
	// to the client's address, both host:port.
	Clients(ctx context.Context) (map[string]string, error)
}

func (r queryResolver) Activity(ctx context.Context) (*noun.Activity, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	return r.activity.get(r.Now, func() (*noun.Activity, error) { return r.lookAround(context.WithoutCancel(ctx)) })
}

func (r queryResolver) TopQueries(ctx context.Context, by string, first int) ([]noun.TopQuery, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if first < 1 || first > noun.MaxPage {
		return nil, fault.Field("first", "Ask for 1 to %d queries.", noun.MaxPage)
	}
	list, err := r.Statistics.TopQueries(ctx, by, first)
	return list, database(err)
}

// glance keeps an answer for a second, an error too: to list thousands of clients keeps a pooler from
// its work, and ten people who look need not ask ten times.
type glance[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
	err   error
}

func (g *glance[T]) get(now func() time.Time, look func() (T, error)) (T, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at.IsZero() || now().Sub(g.at) >= time.Second {
		g.value, g.err = look()
		g.at = now()
	}
	return g.value, g.err
}

// drop has the next who asks get a new answer: what was seen is not so any more.
func (g *glance[T]) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = time.Time{}
}

// around is what every part said at about the same moment.
type around struct {
	backends []noun.Backend
	clients  map[int]*noun.PoolerClient // by the backend that works for them
	unknown  []string
}

// lookAround asks PostgreSQL and every pooler at once. What cannot be asked is said, not guessed.
func (g *Graph) lookAround(ctx context.Context) (*noun.Activity, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	a := around{clients: map[int]*noun.PoolerClient{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { a.backends, failed = g.Statistics.Backends(ctx) })
	for _, name := range g.Inventory.PgBouncer.PoolerNames() {
		wg.Go(func() {
			clients, err := g.served(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.unknown = append(a.unknown, name+" does not answer: whom its server connections work for is unknown.")
			}
			for pid, c := range clients {
				a.clients[pid] = c
			}
		})
	}
	real, why := g.realAddresses(ctx)
	wg.Wait()
	if failed != nil {
		return nil, database(failed)
	}
	if why != "" {
		a.unknown = append(a.unknown, why)
	}
	return a.join(real, g.Now()), nil
}

// served is whom the server connections of one pooler work for, by PostgreSQL's process id.
func (g *Graph) served(ctx context.Context, name string) (map[int]*noun.PoolerClient, error) {
	pools, ok := g.Pools[name]
	if !ok {
		return nil, fault.Errorf(fault.Unavailable, "%s cannot be asked.", name)
	}
	e, err := bothEnds(ctx, pools)
	if err != nil {
		return nil, err
	}
	out := map[int]*noun.PoolerClient{}
	for _, s := range e.servers {
		if c, ok := e.paired(s); ok {
			out[int(s.RemotePID)] = e.client(name, c)
		}
	}
	return out, nil
}

// ends are the connections on both sides of a pooler. Two lists are two moments: a pair counts when both
// ends name each other.
type ends struct {
	clients, servers []pgbouncer.Socket
	byPtr            map[string]pgbouncer.Socket
}

func bothEnds(ctx context.Context, pools Pools) (e ends, err error) {
	if e.servers, err = pools.Servers(ctx); err != nil {
		return e, err
	}
	if e.clients, err = pools.Clients(ctx); err != nil {
		return e, err
	}
	e.byPtr = make(map[string]pgbouncer.Socket, len(e.clients)+len(e.servers))
	for _, s := range slices.Concat(e.clients, e.servers) {
		e.byPtr[s.Ptr] = s
	}
	return e, nil
}

// paired is the other end that a connection is linked to.
func (e ends) paired(s pgbouncer.Socket) (pgbouncer.Socket, bool) {
	other, ok := e.byPtr[s.Link]
	return other, ok && s.Link != "" && other.Link == s.Ptr
}

func (e ends) client(pooler string, c pgbouncer.Socket) *noun.PoolerClient {
	p := &noun.PoolerClient{Pooler: pooler, User: c.User, Database: c.Database, Application: c.ApplicationName, State: c.State,
		ProxyAddress: net.JoinHostPort(c.Addr, strconv.FormatInt(c.Port, 10)), ConnectedSince: moment(c.ConnectTime), LastRequest: moment(c.RequestTime),
		PreparedStatements: c.PreparedStatements}
	if waits(c) {
		p.Wait = c.Wait
	}
	if s, ok := e.paired(c); ok {
		pid := int(s.RemotePID)
		p.PID = &pid
	}
	return p
}

func (e ends) server(pooler string, s pgbouncer.Socket) noun.PoolerServer {
	out := noun.PoolerServer{User: s.User, Database: s.Database, State: s.State, PID: int(s.RemotePID), ConnectedSince: moment(s.ConnectTime),
		LastRequest: moment(s.RequestTime), PreparedStatements: s.PreparedStatements}
	if c, ok := e.paired(s); ok {
		out.Client = e.client(pooler, c)
	}
	return out
}

// waits reports whether a client waits for a server connection. The others say for how long they last did.
func waits(c pgbouncer.Socket) bool { return strings.HasPrefix(c.State, "waiting") }

// moment is a time, nil when it is not known.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (r queryResolver) PoolerConnections(ctx context.Context, pooler string, first int) (*noun.PoolerConnections, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if first < 1 || first > noun.MaxPage {
		return nil, fault.Field("first", "Ask for 1 to %d of each.", noun.MaxPage)
	}
	if !slices.Contains(r.Inventory.PgBouncer.PoolerNames(), pooler) {
		return nil, nil
	}
	pools, ok := r.Pools[pooler]
	if !ok {
		return nil, fault.Errorf(fault.Unavailable, "%s cannot be asked.", pooler)
	}
	return r.connections(ctx, pooler, pools, first)
}

// connections are the first of each end, and where those clients really are.
func (g *Graph) connections(ctx context.Context, pooler string, pools Pools, first int) (*noun.PoolerConnections, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	e, err := bothEnds(ctx, pools)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer.", pooler)
	}
	most, err := maxPrepared(ctx, pools)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer.", pooler)
	}
	clients, servers := ofApplications(e.clients, urgentFirst), ofApplications(e.servers, busyFirst)
	out := &noun.PoolerConnections{Pooler: pooler, At: g.Now(), ClientsTotal: len(clients), ServersTotal: len(servers), MaxPreparedStatements: most,
		Clients: []noun.PoolerClient{}, Servers: []noun.PoolerServer{}, Unknown: []string{}}
	real, why := g.realAddresses(ctx)
	if why != "" {
		out.Unknown = append(out.Unknown, why)
	}
	for _, c := range clients[:min(first, len(clients))] {
		out.Clients = append(out.Clients, *located(e.client(pooler, c), real))
	}
	for _, s := range servers[:min(first, len(servers))] {
		s := e.server(pooler, s)
		s.Client = located(s.Client, real)
		out.Servers = append(out.Servers, s)
	}
	return out, nil
}

// located adds the real address of a client; nil is no client.
func located(c *noun.PoolerClient, real map[string]string) *noun.PoolerClient {
	if c != nil {
		if address, ok := real[c.ProxyAddress]; ok {
			c.Address = &address
		}
	}
	return c
}

// maxPrepared is 0 for a pooler that does not know the setting: before 1.21.
func maxPrepared(ctx context.Context, pools Pools) (int, error) {
	settings, err := pools.Config(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range settings {
		if s.Key == "max_prepared_statements" {
			return strconv.Atoi(s.Value)
		}
	}
	return 0, nil
}

func ofApplications(all []pgbouncer.Socket, order func(a, b pgbouncer.Socket) int) []pgbouncer.Socket {
	out := slices.DeleteFunc(slices.Clone(all), func(s pgbouncer.Socket) bool { return !s.Serves() })
	slices.SortStableFunc(out, order)
	return out
}

// urgentFirst has the longest wait first, then the oldest connection.
func urgentFirst(a, b pgbouncer.Socket) int {
	wait := func(s pgbouncer.Socket) time.Duration {
		if waits(s) {
			return max(s.Wait, 1)
		}
		return 0
	}
	return cmp.Or(cmp.Compare(wait(b), wait(a)), a.ConnectTime.Compare(b.ConnectTime))
}

// busyFirst has those that work for a client first, then those that were asked longest ago.
func busyFirst(a, b pgbouncer.Socket) int {
	idle := func(s pgbouncer.Socket) int {
		if s.State == "active" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(idle(a), idle(b)), a.RequestTime.Compare(b.RequestTime))
}

// realAddresses is HAProxy's half of the way to a client, and why it is not known.
func (g *Graph) realAddresses(ctx context.Context) (map[string]string, string) {
	if g.Edge == nil {
		return nil, "HAProxy's session tables cannot be read from here: the real addresses of clients are unknown."
	}
	real, err := g.Edge.Clients(ctx)
	if err != nil {
		return real, "HAProxy did not tell its sessions: the real addresses of clients are unknown."
	}
	return real, ""
}

func (a around) join(real map[string]string, at time.Time) *noun.Activity {
	for i := range a.backends {
		b := &a.backends[i]
		b.Client = located(a.clients[b.PID], real)
	}
	if a.unknown == nil {
		a.unknown = []string{}
	}
	return &noun.Activity{At: at, Backends: a.backends, Unknown: a.unknown}
}
