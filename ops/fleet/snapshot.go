// Package fleet is the live state of the cluster: every part polled by its own loop, each answer
// folded into an immutable Snapshot, and a Hub that hands out what is now and what comes next.
package fleet

import (
	"slices"
	"time"

	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

// PoolerBackend is what the rendered configuration calls the backend of the poolers.
const PoolerBackend = "pgbouncer"

// Snapshot is the whole chain at one moment. It is never changed: Fold makes the next one.
type Snapshot struct {
	Version  uint64    // one more with every reading
	At       time.Time // of the newest reading
	VIP      VIP
	Nodes    []Node   // in the order of the inventory
	Poolers  []Pooler // in the order of the inventory
	Postgres Postgres
}

// VIP is who holds the address, from outside. What the nodes themselves say is in their State.
type VIP struct {
	Address string
	Answers Observation[string]           // the node that answers at the VIP's node endpoint
	Through Observation[postgres.Passage] // a new connection and a query the whole way
}

// Node is one HAProxy node.
type Node struct {
	Name, Address string
	State         Observation[haproxy.NodeState]
	Stats         Observation[haproxy.Stats]
	Rates         NodeRates
	// Flaps are the poolers that went DOWN and came back between two polls, which no poll saw.
	Flaps []Flap
	// Falls are all the times that one of its processes counted a pooler DOWN of late, those that polls
	// saw included. Processes count the same falls, each for itself.
	Falls []Fall
}

// NodeRates are per second, between the last two readings.
type NodeRates struct {
	Sessions          float64 // new ones of the frontend
	BytesIn, BytesOut float64 // from clients, to clients
}

// Flap is a pooler that a node saw DOWN and UP again between two polls.
type Flap struct {
	Pooler string
	Times  int64
	At     time.Time // of the poll that found it
}

// Pooler is one PgBouncer.
type Pooler struct {
	Name, Address string
	View          Observation[PoolerView]
	Rates         PoolerRates
	Restarted     time.Time   // when it was last seen to have started again, by its totals or its connection; zero is never
	Restarts      []time.Time // all those of late
	Resumed       time.Time   // when a pause of it, or of one of its databases, was last seen to have ended; zero is never
}

// PoolerView is everything that is polled of one pooler.
type PoolerView struct {
	Version   string
	State     pgbouncer.State
	Pools     []pgbouncer.Pool
	Stats     []pgbouncer.Stat
	Lists     map[string]int64
	Databases []pgbouncer.Database
	Ended     int64 // how often it has ended, by the connection that is kept to it; see pgbouncer.Client
}

// Fall is a pooler that one process of a node counted DOWN between two polls, once or more.
type Fall struct {
	Pooler  string
	Process int // 0 is the first
	Times   int64
	At      time.Time // of the poll that found it
}

// PoolerRates are per second, between the last two readings; the means are per transaction or query
// of that time. All zero after a restart, until there are two readings again.
type PoolerRates struct {
	Xacts, Queries     float64
	Received, Sent     float64 // bytes
	MeanXact, MeanWait time.Duration
	MeanQuery          time.Duration
	Over               time.Duration // between the two readings; 0 is no rate known
}

// Postgres is the database server, asked directly.
type Postgres struct {
	Name, Address string
	Probe         Observation[postgres.Probe]
	Sizes         Observation[[]postgres.Size]
	Rates         PostgresRates
	counts        []xactCount // of the last while, oldest first
}

// PostgresRates are per second, over the last 10 s: sessions add what they did to PostgreSQL's statistics
// about once a second only.
type PostgresRates struct {
	Xacts float64
	Over  time.Duration // between the two readings; 0 is no rate known
}

type xactCount struct {
	at    time.Time
	xacts int64
}

const xactSpan = 10 * time.Second

// First is the snapshot before anything was read.
func First(inv *inventory.Inventory) *Snapshot {
	s := &Snapshot{
		VIP:      VIP{Address: inv.VIPEndpoint()},
		Postgres: Postgres{Name: inv.Postgres.Name, Address: inv.PostgresEndpoint()},
	}
	for _, n := range inv.HAProxy.Nodes {
		s.Nodes = append(s.Nodes, Node{Name: n.Name, Address: n.Address.String()})
	}
	for _, n := range inv.PgBouncer.Poolers {
		s.Poolers = append(s.Poolers, Pooler{Name: n.Name, Address: n.Address.String()})
	}
	return s
}

// Fold is the snapshot after one more reading. It changes nothing of prev, and shares what stays.
func Fold(prev *Snapshot, r Reading) *Snapshot {
	s := *prev
	s.Version++
	s.At = r.At
	switch r.Source.Kind {
	case AnswerKind:
		s.VIP.Answers = next(s.VIP.Answers, r)
	case ThroughKind:
		s.VIP.Through = next(s.VIP.Through, r)
	case DirectKind:
		s.Postgres = foldProbe(s.Postgres, r)
	case SizesKind:
		s.Postgres.Sizes = next(s.Postgres.Sizes, r)
	case NodeStateKind, NodeStatsKind:
		s.Nodes = replace(s.Nodes, func(n Node) bool { return n.Name == r.Source.Name },
			func(n Node) Node { return foldNode(n, r) })
	case PoolerKind:
		s.Poolers = replace(s.Poolers, func(p Pooler) bool { return p.Name == r.Source.Name },
			func(p Pooler) Pooler { return foldPooler(p, r) })
	}
	return &s
}

// replace copies the list with one element changed.
func replace[T any](list []T, is func(T) bool, change func(T) T) []T {
	i := slices.IndexFunc(list, is)
	if i < 0 {
		return list
	}
	list = slices.Clone(list)
	list[i] = change(list[i])
	return list
}

func foldNode(n Node, r Reading) Node {
	if r.Source.Kind == NodeStateKind {
		n.State = next(n.State, r)
		return n
	}
	before := n.Stats
	n.Stats = next(n.Stats, r)
	if !before.Known() || r.Err != nil {
		return n
	}
	n.Stats.Value = n.Stats.Value.After(before.Value)
	over := n.Stats.Seen.Sub(before.Seen)
	n.Rates = nodeRates(before.Value, n.Stats.Value, over)
	n.Flaps = since(n.Flaps, r.At.Add(-flapMemory), func(f Flap) time.Time { return f.At })
	n.Falls = since(n.Falls, r.At.Add(-flapMemory), func(f Fall) time.Time { return f.At })
	// A node that did not answer meanwhile may have been cut off itself, and have seen everybody DOWN.
	if before.OK() {
		n.Falls = append(n.Falls, falls(before.Value, n.Stats.Value, r.At)...)
		n.Flaps = append(n.Flaps, missedFlaps(before.Value, n.Stats.Value, r.At)...)
	}
	return n
}

func nodeRates(a, b haproxy.Stats, over time.Duration) NodeRates {
	was, _ := a.Find("postgres", "FRONTEND")
	is, ok := b.Find("postgres", "FRONTEND")
	if !ok || over <= 0 || is.SessionsTotal < was.SessionsTotal || is.BytesIn < was.BytesIn || is.BytesOut < was.BytesOut {
		return NodeRates{} // it started again
	}
	s := over.Seconds()
	return NodeRates{
		Sessions: float64(is.SessionsTotal-was.SessionsTotal) / s,
		BytesIn:  float64(is.BytesIn-was.BytesIn) / s, BytesOut: float64(is.BytesOut-was.BytesOut) / s,
	}
}

// flapMemory is how long a flap that no poll saw stays in the snapshot.
const flapMemory = 5 * time.Minute

// since are those of a moment after one.
func since[T any](all []T, from time.Time, at func(T) time.Time) []T {
	var out []T
	for _, f := range all {
		if at(f).After(from) {
			out = append(out, f)
		}
	}
	return out
}

// deaths are how many of the times that HAProxy counted a server DOWN its check had found it dead. HAProxy
// counts an operator's maint as well, but a check that fails is what every death ends with, and no order
// adds one. A maint in the same stretch as a failed check too few counts as a death: nothing tells them apart.
func deaths(downs, fails int64) int64 { return max(0, min(downs, fails)) }

// missedFlaps finds poolers that were UP in both readings and went DOWN in between: HAProxy counts.
func missedFlaps(a, b haproxy.Stats, at time.Time) []Flap {
	var out []Flap
	for _, is := range b.Servers(PoolerBackend) {
		was, ok := a.Find(is.Proxy, is.Name)
		if times := deaths(is.CheckDowns-was.CheckDowns, is.CheckFails-was.CheckFails); ok && was.State.Serving() && is.State.Serving() && times > 0 {
			out = append(out, Flap{Pooler: is.Name, Times: times, At: at})
		}
	}
	return out
}

// falls finds poolers that went DOWN between two readings, seen or not. A process that has started
// again counts from zero.
func falls(a, b haproxy.Stats, at time.Time) []Fall {
	var out []Fall
	for _, is := range b.Servers(PoolerBackend) {
		was, _ := a.Find(is.Proxy, is.Name)
		for process := range min(len(is.Downs), len(was.Downs), len(is.Fails), len(was.Fails)) {
			if times := deaths(is.Downs[process]-was.Downs[process], is.Fails[process]-was.Fails[process]); times > 0 {
				out = append(out, Fall{Pooler: is.Name, Process: process, Times: times, At: at})
			}
		}
	}
	return out
}

func foldProbe(p Postgres, r Reading) Postgres {
	before := p.Probe
	p.Probe = next(p.Probe, r)
	if r.Err != nil {
		return p
	}
	now := xactCount{p.Probe.Seen, p.Probe.Value.Xacts}
	if !before.Known() || !p.Probe.Value.StartTime.Equal(before.Value.StartTime) || now.xacts < before.Value.Xacts {
		p.counts, p.Rates = []xactCount{now}, PostgresRates{}
		return p
	}
	counts := since(p.counts, now.at.Add(-xactSpan-time.Second), func(c xactCount) time.Time { return c.at })
	p.counts = append(counts, now)
	if first := p.counts[0]; now.at.After(first.at) {
		over := now.at.Sub(first.at)
		p.Rates = PostgresRates{float64(now.xacts-first.xacts) / over.Seconds(), over}
	}
	return p
}

func foldPooler(p Pooler, r Reading) Pooler {
	before := p.View
	p.View = next(p.View, r)
	if !before.Known() || r.Err != nil {
		return p
	}
	if now := p.View.Value.Paused(); slices.ContainsFunc(before.Value.Paused(), func(was string) bool { return !slices.Contains(now, was) }) {
		p.Resumed = r.At
	}
	passed, ok := pgbouncer.Since(before.Value.Stats, p.View.Value.Stats)
	if p.View.Value.Ended > before.Value.Ended || !ok {
		p.Restarted, p.Rates = r.At, PoolerRates{}
		p.Restarts = append(since(p.Restarts, r.At.Add(-flapMemory), func(t time.Time) time.Time { return t }), r.At)
		return p
	}
	p.Rates = poolerRates(passed, p.View.Seen.Sub(before.Seen))
	return p
}

func poolerRates(passed pgbouncer.Stat, over time.Duration) PoolerRates {
	if over <= 0 {
		return PoolerRates{}
	}
	s := over.Seconds()
	return PoolerRates{
		Xacts: float64(passed.TotalXactCount) / s, Queries: float64(passed.TotalQueryCount) / s,
		Received: float64(passed.TotalReceived) / s, Sent: float64(passed.TotalSent) / s,
		MeanXact:  mean(passed.TotalXactTime, passed.TotalXactCount),
		MeanQuery: mean(passed.TotalQueryTime, passed.TotalQueryCount),
		MeanWait:  mean(passed.TotalWaitTime, passed.TotalXactCount),
		Over:      over,
	}
}

func mean(sum time.Duration, n int64) time.Duration {
	if n <= 0 {
		return 0
	}
	return sum / time.Duration(n)
}

// Clients counts the clients of a pooler and those of them that wait, the console's own left out.
func (v PoolerView) Clients() (active, waiting int64, longest time.Duration) {
	for _, p := range v.Pools {
		if p.Database == "pgbouncer" {
			continue
		}
		active += p.ClActive
		waiting += p.ClWaiting
		longest = max(longest, p.MaxWait)
	}
	return active, waiting, longest
}

// Servers counts the server connections of a pooler: in use, and all.
func (v PoolerView) Servers() (active, all int64) {
	for _, p := range v.Pools {
		if p.Database == "pgbouncer" {
			continue
		}
		active += p.SvActive
		all += p.SvActive + p.SvIdle + p.SvUsed + p.SvTested + p.SvLogin
	}
	return active, all
}

// Paused lists the databases of a pooler that are paused; "*" when the whole pooler is.
func (v PoolerView) Paused() []string {
	if v.State.Paused {
		return []string{"*"}
	}
	var out []string
	for _, d := range v.Databases {
		if d.Paused {
			out = append(out, d.Name)
		}
	}
	return out
}

// PausedIn says that clients of a database wait, because it or the whole pooler is paused.
func (v PoolerView) PausedIn(database string) bool {
	return v.State.Paused || slices.ContainsFunc(v.Databases, func(d pgbouncer.Database) bool { return d.Name == database && d.Paused })
}

// Server is what a node says about a pooler, if it ever said anything.
func (n Node) Server(pooler string) (haproxy.Row, bool) {
	if !n.Stats.Known() {
		return haproxy.Row{}, false
	}
	return n.Stats.Value.Find(PoolerBackend, pooler)
}

// Holders lists the nodes that hold the VIP by their last word: their own check found it at home.
// A node that was not heard in the last reading counts as not holding: see Heard.
func (s *Snapshot) Holders() []string {
	var out []string
	for _, n := range s.Nodes {
		if n.State.OK() && n.State.Value.VIP {
			out = append(out, n.Name)
		}
	}
	return out
}

// Heard lists the nodes whose last reading succeeded.
func (s *Snapshot) Heard() []string {
	var out []string
	for _, n := range s.Nodes {
		if n.State.OK() {
			out = append(out, n.Name)
		}
	}
	return out
}
