package graph

import (
	"context"
	"net"
	"strconv"
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

// served is whom the server connections of one pooler work for, by PostgreSQL's process id. Two lists
// are two moments: a pair counts when both ends name each other.
func (g *Graph) served(ctx context.Context, name string) (map[int]*noun.PoolerClient, error) {
	pools, ok := g.Pools[name]
	if !ok {
		return nil, fault.Errorf(fault.Unavailable, "%s cannot be asked.", name)
	}
	servers, err := pools.Servers(ctx)
	if err != nil {
		return nil, err
	}
	clients, err := pools.Clients(ctx)
	if err != nil {
		return nil, err
	}
	byPtr := make(map[string]pgbouncer.Socket, len(clients))
	for _, c := range clients {
		byPtr[c.Ptr] = c
	}
	out := map[int]*noun.PoolerClient{}
	for _, s := range servers {
		if c, ok := byPtr[s.Link]; ok && s.Link != "" && c.Link == s.Ptr {
			out[int(s.RemotePID)] = clientOf(name, c)
		}
	}
	return out, nil
}

func clientOf(pooler string, c pgbouncer.Socket) *noun.PoolerClient {
	p := &noun.PoolerClient{Pooler: pooler, User: c.User, Database: c.Database, Application: c.ApplicationName,
		ProxyAddress: net.JoinHostPort(c.Addr, strconv.FormatInt(c.Port, 10))}
	if !c.ConnectTime.IsZero() {
		p.ConnectedSince = &c.ConnectTime
	}
	return p
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
		if b.Client = a.clients[b.PID]; b.Client == nil {
			continue
		}
		if address, ok := real[b.Client.ProxyAddress]; ok {
			b.Client.Address = &address
		}
	}
	if a.unknown == nil {
		a.unknown = []string{}
	}
	return &noun.Activity{At: at, Backends: a.backends, Unknown: a.unknown}
}
