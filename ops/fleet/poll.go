package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

// Dial opens a connection; net.Dialer's DialContext is one. Another reaches into a sealed network.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Parts are the clients of every part of the cluster.
type Parts struct {
	inv     *inventory.Inventory
	secrets inventory.Secrets
	dial    Dial
	Nodes   map[string]*haproxy.Client
	Poolers map[string]*pgbouncer.Client
	Direct  *postgres.Client
	// Doubts, when set, says that something is suspected: while it does, all is read more often.
	Doubts func() bool
	vip    *http.Client
	paused sync.Map // by pooler: that a query would wait in it, by its last reading
}

// NewParts makes the clients; nothing is connected yet. instances is how many HAProxy processes a
// node runs.
func NewParts(inv *inventory.Inventory, s inventory.Secrets, instances int, dial Dial) (*Parts, error) {
	p := &Parts{inv: inv, secrets: s, dial: dial,
		Nodes: map[string]*haproxy.Client{}, Poolers: map[string]*pgbouncer.Client{}}
	for _, n := range inv.HAProxy.Nodes {
		p.Nodes[n.Name] = haproxy.New(n, inv, s.HAProxyStats, instances, dial)
	}
	for _, n := range inv.PgBouncer.Poolers {
		c, err := pgbouncer.New(n, inv.PgBouncer.Port, "weir_monitor", s.Monitor, pgbouncer.Dial(dial))
		if err != nil {
			return nil, err
		}
		p.Poolers[n.Name] = c
	}
	var err error
	direct := netip.AddrPortFrom(inv.Postgres.Address.Addr, uint16(inv.Postgres.Port))
	login := postgres.Login{Endpoint: direct, User: "weir_monitor", Password: s.Monitor, Database: "postgres"}
	p.Direct, err = postgres.New(login, postgres.Dial(dial))
	if err != nil {
		return nil, err
	}
	// A connection of its own each time: a kept one would go on reaching the holder of before.
	p.vip = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	return p, nil
}

// sizesEvery is how often database sizes are measured: it looks at every file.
const sizesEvery = time.Minute

// probe reads one source.
type probe struct {
	source Source
	every  time.Duration
	phase  float64 // of the interval: when the first reading is made
	read   func(context.Context) (any, error)
}

// probes lists every source. Those of one kind are spread over the interval, so that of two nodes
// that see the same thing one is asked every half interval.
func (p *Parts) probes() []probe {
	every := p.inv.Poll.Interval.Duration
	out := []probe{
		// Half as long, and between the nodes' turns: a VIP that moves shows here first.
		{Source{Kind: AnswerKind}, every / 2, 0.25, reading(p.whoAnswers)},
		{Source{Kind: ThroughKind}, every, 0.3, reading(p.through)},
		{Source{Kind: DirectKind}, every, 0.6, reading(p.Direct.Probe)},
		{Source{Kind: SizesKind}, sizesEvery, 0.9, reading(p.Direct.Sizes)},
	}
	for i, n := range p.inv.HAProxy.Nodes {
		c, phase := p.Nodes[n.Name], float64(i)/float64(len(p.inv.HAProxy.Nodes))
		out = append(out,
			probe{Source{NodeStatsKind, n.Name}, every, phase, reading(c.Stats)},
			probe{Source{NodeStateKind, n.Name}, every, phase, reading(c.Node)})
	}
	for i, n := range p.inv.PgBouncer.Poolers {
		c, phase := p.Poolers[n.Name], float64(i)/float64(len(p.inv.PgBouncer.Poolers))
		out = append(out, probe{Source{PoolerKind, n.Name}, every, phase,
			reading(func(ctx context.Context) (PoolerView, error) {
				v, err := viewPooler(ctx, c)
				p.heard(n.Name, v, err)
				return v, err
			})})
	}
	return out
}

func reading[T any](read func(context.Context) (T, error)) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) { return read(ctx) }
}

// OwnDatabase is Weir's, which the query through the VIP asks and no application uses.
const OwnDatabase = "weir"

// heard notes whether a query of Weir's own would wait in a pooler.
func (p *Parts) heard(pooler string, v PoolerView, err error) {
	p.paused.Store(pooler, err == nil && v.PausedIn(OwnDatabase))
}

// waits says that a query would wait, whichever pooler it came to. One that was not read may serve.
func (p *Parts) waits() bool {
	return !slices.ContainsFunc(p.inv.PgBouncer.Poolers, func(n inventory.Node) bool {
		paused, _ := p.paused.Load(n.Name)
		return paused != true
	})
}

// ErrPaused is a query that was not sent.
var ErrPaused = errors.New("not tried: it would wait in every pooler, for they are paused")

// through goes the way of an application. The role is the owner of Weir's own database: weir_monitor
// comes in directly only. A client that gave up waiting in a paused pool keeps its place until the pause
// ends, for PgBouncer does not look at it: the next one would be one more.
func (p *Parts) through(ctx context.Context) (postgres.Passage, error) {
	if p.waits() {
		return postgres.Passage{}, fmt.Errorf("query through %s: %w", p.inv.VIPEndpoint(), ErrPaused)
	}
	at := netip.AddrPortFrom(p.inv.VIP.Address.Addr, uint16(p.inv.VIP.Port))
	login := postgres.Login{Endpoint: at, User: "weir", Password: p.secrets.Console, Database: OwnDatabase}
	return postgres.Through(ctx, login, postgres.Dial(p.dial))
}

// whoAnswers asks the VIP itself which node is behind it.
func (p *Parts) whoAnswers(ctx context.Context) (string, error) {
	at := net.JoinHostPort(p.inv.VIP.Address.String(), strconv.Itoa(p.inv.HAProxy.StatsPort))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/node", nil)
	if err != nil {
		return "", err
	}
	resp, err := p.vip.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		return "", fmt.Errorf("ask %s who it is: %w", at, err)
	}
	name := strings.TrimSpace(string(body))
	for _, n := range p.inv.HAProxy.Nodes {
		if n.Name == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("ask %s who it is: %q (HTTP %d) is no HAProxy node of the inventory", at, name, resp.StatusCode)
}

// viewPooler asks one pooler's console everything that is polled.
func viewPooler(ctx context.Context, c *pgbouncer.Client) (PoolerView, error) {
	var v PoolerView
	var err error
	for _, ask := range []func() error{
		func() error { v.Version, err = c.Version(ctx); return err },
		func() error { v.State, err = c.State(ctx); return err },
		func() error { v.Pools, err = c.Pools(ctx); return err },
		func() error { v.Stats, err = c.Stats(ctx); return err },
		func() error { v.Lists, err = c.Lists(ctx); return err },
		func() error { v.Databases, err = c.Databases(ctx); return err },
	} {
		if err := ask(); err != nil {
			return PoolerView{}, err
		}
	}
	v.Ended = c.Ended()
	return v, nil
}

// Poll reads every source in a loop of its own until ctx ends, and gives each reading to apply.
// A source that hangs delays nobody else. It returns when every loop has ended.
//
// When a reading brings news, all sources are read again at once, and more often for a while: what one
// has noticed the others confirm without waiting for their turn, and what follows is seen as it comes.
func (p *Parts) Poll(ctx context.Context, apply func(Reading)) {
	var wg sync.WaitGroup
	alarm := newAlarm()
	for _, pr := range p.probes() {
		first := time.Duration(pr.phase * float64(p.inv.Poll.Interval.Duration))
		wg.Go(func() { p.loop(ctx, pr, first, alarm, apply) })
	}
	wg.Wait()
}

// soon is how often all is read for stirred after news, and while there are doubts: two failures in a
// row are believed, and two HAProxies notice the same up to one check apart.
const (
	soon    = 250 * time.Millisecond
	stirred = 1200 * time.Millisecond
)

func (p *Parts) loop(ctx context.Context, pr probe, wait time.Duration, alarm *alarm, apply func(Reading)) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var last Reading
	for {
		rung := alarm.next()
		if pr.every > p.inv.Poll.Interval.Duration {
			rung = nil // too dear to be read in a hurry
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-rung:
		}
		began := time.Now()
		r := p.once(ctx, pr)
		if ctx.Err() != nil {
			return
		}
		apply(r)
		if !last.At.IsZero() && news(last, r) {
			alarm.ring(began)
		}
		wait = pr.every
		if rung != nil && (alarm.since() < stirred || p.Doubts != nil && p.Doubts()) {
			wait = soon
		}
		last = r
		timer.Reset(max(0, wait-time.Since(began)))
	}
}

// news reports whether a reading says something else than the one before it, numbers aside.
func news(was, is Reading) bool {
	if (was.Err == nil) != (is.Err == nil) {
		return true
	}
	if is.Err != nil {
		return false
	}
	switch now := is.Value.(type) {
	case haproxy.NodeState:
		return now != was.Value.(haproxy.NodeState)
	case haproxy.Stats:
		return !slices.EqualFunc(now.Rows, was.Value.(haproxy.Stats).Rows, func(a, b haproxy.Row) bool {
			return a.Name == b.Name && a.State == b.State && a.Admin == b.Admin && a.CheckDowns == b.CheckDowns
		})
	case PoolerView:
		return now.State != was.Value.(PoolerView).State || now.Ended != was.Value.(PoolerView).Ended
	case string:
		return now != was.Value.(string)
	}
	return false
}

// alarm wakes every loop at once.
type alarm struct {
	mu   sync.Mutex
	rung time.Time
	bell chan struct{}
}

func newAlarm() *alarm { return &alarm{bell: make(chan struct{})} }

func (a *alarm) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bell
}

// since is how long ago it rang last.
func (a *alarm) since() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.rung)
}

// ring wakes all loops, unless they were woken after asked: then the news is what they are reading.
func (a *alarm) ring(asked time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rung.After(asked) {
		return
	}
	a.rung = time.Now()
	close(a.bell)
	a.bell = make(chan struct{})
}

// Once reads every source, all at once, and those that fail a second time, as one failure proves
// little: for a command that looks and ends. The query through the VIP comes last, as it is not sent into
// paused pools; and with it all that answered once more, which proves that the others failed by themselves.
func (p *Parts) Once(ctx context.Context) *Snapshot {
	hub := NewHub(First(p.inv))
	probes := p.probes()
	again := make([]bool, len(probes))
	var wg sync.WaitGroup
	read := func(i int) {
		wg.Go(func() {
			r := p.once(ctx, probes[i])
			hub.Apply(r)
			if r.Err != nil {
				hub.Apply(p.once(ctx, probes[i]))
			}
			again[i] = r.Err == nil && r.Source.Kind != SizesKind
		})
	}
	for i, pr := range probes {
		if pr.source.Kind != ThroughKind {
			read(i)
		}
	}
	wg.Wait()
	for i, pr := range probes {
		if again[i] || pr.source.Kind == ThroughKind {
			read(i)
		}
	}
	wg.Wait()
	now, _ := hub.Now()
	return now
}

func (p *Parts) once(ctx context.Context, pr probe) Reading {
	ctx, cancel := context.WithTimeout(ctx, p.inv.Poll.Timeout.Duration)
	defer cancel()
	began := time.Now()
	value, err := pr.read(ctx)
	at := time.Now()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s: %w", p.inv.Poll.Timeout, err)
	}
	return Reading{Source: pr.source, At: at, Took: at.Sub(began), Value: value, Err: err}
}

// Close ends the kept connections.
func (p *Parts) Close(ctx context.Context) {
	for _, c := range p.Poolers {
		c.Close(ctx)
	}
	p.Direct.Close(ctx)
	for _, c := range p.Nodes {
		c.Close()
	}
}
