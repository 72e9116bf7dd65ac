package main

import (
	"time"

	"weir/ops/fleet"
	"weir/ops/inventory"
)

// chainJSON is what status --json prints. Its keys are stable: new ones may come, none goes.
// Times are RFC 3339, durations milliseconds. A source that failed has its error, and the age of
// the last values, which stay beside it.
type chainJSON struct {
	Cluster  string       `json:"cluster"`
	At       time.Time    `json:"at"`
	Serving  bool         `json:"serving"` // a new connection through the VIP was answered
	VIP      vipJSON      `json:"vip"`
	HAProxy  []nodeJSON   `json:"haproxy"`
	Poolers  []poolerJSON `json:"poolers"`
	Postgres postgresJSON `json:"postgres"`
}

type sourceJSON struct {
	Answers bool    `json:"answers"`
	AgeMS   float64 `json:"age_ms"` // of the values beside
	Error   string  `json:"error,omitempty"`
}

type vipJSON struct {
	Address    string   `json:"address"`
	Holders    []string `json:"holders"`     // by each node's own check; two are one too many
	AnsweredBy string   `json:"answered_by"` // the node that answers at the address
	QueryMS    float64  `json:"query_ms"`    // a new connection and a query the whole way
	Error      string   `json:"error,omitempty"`
}

type nodeJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	sourceJSON
	VRRP       string        `json:"vrrp"` // MASTER BACKUP FAULT STOP UNKNOWN: keepalived's last word
	Keepalived bool          `json:"keepalived"`
	VIP        bool          `json:"vip"`
	Ready      bool          `json:"ready"`
	Hold       bool          `json:"hold"`
	Why        string        `json:"why,omitempty"`
	Sessions   int64         `json:"sessions"`
	Poolers    []opinionJSON `json:"poolers"`
}

type opinionJSON struct {
	Name  string `json:"name"`
	State string `json:"state"` // UP, UP going down, DOWN, DOWN going up, no check, not checked
	Admin string `json:"admin"` // ready, drain, maint
	Check string `json:"check"` // L7OK, L4CON, L7TOUT ...
}

type poolerJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	sourceJSON
	Version   string   `json:"version"`
	Clients   int64    `json:"clients"`
	Waiting   int64    `json:"waiting"`
	MaxWaitMS float64  `json:"max_wait_ms"`
	Servers   int64    `json:"servers"`
	Paused    []string `json:"paused"` // databases; "*" is the whole pooler
}

type postgresJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	sourceJSON
	Version        string    `json:"version"`
	Since          time.Time `json:"since"`
	Connections    int       `json:"connections"`
	MaxConnections int       `json:"max_connections"`
	LongestXactMS  float64   `json:"longest_transaction_ms"`
	Blocked        int       `json:"blocked"`
}

func chainOf(s *fleet.Snapshot, inv *inventory.Inventory) chainJSON {
	c := chainJSON{Cluster: inv.Cluster, At: s.At, Serving: s.VIP.Through.OK(), VIP: vipJSON{
		Address: s.VIP.Address, Holders: append([]string{}, s.Holders()...), AnsweredBy: s.VIP.Answers.Value,
		QueryMS: ms(s.VIP.Through.Value.Elapsed), Error: oneLine(s.VIP.Through.Err)}}
	for _, n := range s.Nodes {
		c.HAProxy = append(c.HAProxy, nodeOf(n, s))
	}
	for _, p := range s.Poolers {
		c.Poolers = append(c.Poolers, poolerOf(p, s.At))
	}
	v := s.Postgres.Probe.Value
	c.Postgres = postgresJSON{Name: s.Postgres.Name, Address: s.Postgres.Address, sourceJSON: sourceOf(s.Postgres.Probe, s.At),
		Version: v.Version, Since: v.StartTime, Connections: v.Connections, MaxConnections: v.MaxConnections,
		LongestXactMS: ms(v.LongestXact), Blocked: v.Blocked}
	return c
}

func nodeOf(n fleet.Node, s *fleet.Snapshot) nodeJSON {
	v := n.State.Value
	out := nodeJSON{Name: n.Name, Address: n.Address, sourceJSON: sourceOf(n.State, s.At), VRRP: v.VRRP,
		Keepalived: v.Keepalived, VIP: v.VIP, Ready: v.Ready, Hold: v.Hold, Why: v.Why, Poolers: []opinionJSON{}}
	if front, ok := n.Stats.Value.Find("postgres", "FRONTEND"); ok {
		out.Sessions = front.Sessions
	}
	for _, p := range s.Poolers {
		if row, ok := n.Server(p.Name); ok {
			out.Poolers = append(out.Poolers, opinionJSON{p.Name, row.State.String(), row.Admin.String(), row.Check})
		}
	}
	return out
}

func poolerOf(p fleet.Pooler, now time.Time) poolerJSON {
	v := p.View.Value
	_, waiting, longest := v.Clients()
	_, servers := v.Servers()
	return poolerJSON{Name: p.Name, Address: p.Address, sourceJSON: sourceOf(p.View, now), Version: v.Version,
		Clients: v.Lists["used_clients"], Waiting: waiting, MaxWaitMS: ms(longest), Servers: servers,
		Paused: append([]string{}, v.Paused()...)}
}

func sourceOf[T any](o fleet.Observation[T], now time.Time) sourceJSON {
	return sourceJSON{Answers: o.OK(), AgeMS: ms(o.Age(now)), Error: oneLine(o.Err)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
