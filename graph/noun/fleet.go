package noun

import (
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/postgres"
)

// Fleet is a snapshot, looked at at a moment.
type Fleet struct {
	*fleet.Snapshot
	Now time.Time
}

func (f Fleet) Version() int64 { return int64(f.Snapshot.Version) }
func (f Fleet) At() *time.Time { return someTime(f.Snapshot.At) }
func (f Fleet) VIP() VIP       { return VIP(f) }

func (f Fleet) HAProxies() []HAProxyNode {
	out := make([]HAProxyNode, len(f.Nodes))
	for i := range f.Nodes {
		out[i] = HAProxyNode{f.Nodes[i], f.Now}
	}
	return out
}

func (f Fleet) Poolers() []Pooler {
	out := make([]Pooler, len(f.Snapshot.Poolers))
	for i := range f.Snapshot.Poolers {
		out[i] = Pooler{f.Snapshot.Poolers[i], f}
	}
	return out
}

func (f Fleet) Postgres() Postgres { return Postgres{f.Snapshot.Postgres, f.Now} }

// VIP is who holds the address.
type VIP Fleet

func (v VIP) Address() string                    { return v.Snapshot.VIP.Address }
func (v VIP) Holders() []string                  { return listed(v.Snapshot.Holders()) }
func (v VIP) Heard() []string                    { return listed(v.Snapshot.Heard()) }
func (v VIP) Answers() Reading[string]           { return read(v.Snapshot.VIP.Answers, v.Now) }
func (v VIP) Through() Reading[postgres.Passage] { return read(v.Snapshot.VIP.Through, v.Now) }

// HAProxyNode is one HAProxy node.
type HAProxyNode struct {
	fleet.Node
	now time.Time
}

func (HAProxyNode) IsNode()                              {}
func (n HAProxyNode) ID() string                         { return ID(HAProxyNodeKind, n.Name) }
func (n HAProxyNode) Report() Reading[haproxy.NodeState] { return read(n.State, n.now) }
func (n HAProxyNode) Stats() Reading[haproxy.Stats]      { return read(n.Node.Stats, n.now) }

// Pooler is one PgBouncer.
type Pooler struct {
	fleet.Pooler
	in Fleet
}

func (Pooler) IsNode()                           {}
func (p Pooler) ID() string                      { return ID(PoolerKind, p.Name) }
func (p Pooler) View() Reading[fleet.PoolerView] { return read(p.Pooler.View, p.in.Now) }
func (p Pooler) RestartedAt() *time.Time         { return someTime(p.Restarted) }

// PoolerInHAProxy is how one HAProxy node sees a pooler.
type PoolerInHAProxy struct {
	Node string
	Row  *haproxy.Row
}

func (p Pooler) InHAProxy() []PoolerInHAProxy {
	out := make([]PoolerInHAProxy, len(p.in.Nodes))
	for i := range p.in.Nodes {
		out[i].Node = p.in.Nodes[i].Name
		if row, ok := p.in.Nodes[i].Server(p.Name); ok {
			out[i].Row = &row
		}
	}
	return out
}

// Postgres is the database server.
type Postgres struct {
	fleet.Postgres
	now time.Time
}

func (Postgres) IsNode()                          {}
func (p Postgres) ID() string                     { return ID(PostgresKind, p.Name) }
func (p Postgres) Probe() Reading[postgres.Probe] { return read(p.Postgres.Probe, p.now) }

// Sizes are those of the databases.
type Sizes struct{ Databases []postgres.Size }

func (p Postgres) Sizes() Reading[Sizes] {
	o := p.Postgres.Sizes
	return read(fleet.Observation[Sizes]{Value: Sizes{o.Value}, Seen: o.Seen, Tried: o.Tried, Took: o.Took, Err: o.Err, Failures: o.Failures, Since: o.Since}, p.now)
}

// The readings by the names that the schema has for them.
type (
	NameReading          = Reading[string]
	PassageReading       = Reading[postgres.Passage]
	HAProxyReportReading = Reading[haproxy.NodeState]
	HAProxyStatsReading  = Reading[haproxy.Stats]
	PoolerReading        = Reading[fleet.PoolerView]
	ProbeReading         = Reading[postgres.Probe]
	SizesReading         = Reading[Sizes]
)
