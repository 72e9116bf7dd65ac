package runbook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/word"
)

// Preflight is what is known of an order before it is given.
type Preflight struct {
	Reasons []string // it would hurt: with any of these it is refused
	Effects []string // what it will do, to whom, and what is left: one sentence or two each, with the numbers of now
}

func (p Preflight) refusal(o Order) error {
	return fault.Errorf(fault.Refused, "%s of %s was refused. %s", o.Verb, o.Subject(), strings.Join(p.Reasons, " "))
}

// harmless is the pre-flight of what does not touch the chain.
func harmless(context.Context, *Runbook, Order) (Preflight, error) { return Preflight{}, nil }

// judged is the pre-flight that looks at one snapshot.
func judged(look func(*judge, Order)) func(context.Context, *Runbook, Order) (Preflight, error) {
	return func(ctx context.Context, r *Runbook, o Order) (Preflight, error) {
		j := &judge{inv: r.Inventory, s: r.snapshot(ctx), now: time.Now(), acted: r.acted}
		look(j, o)
		return j.Preflight, nil
	}
}

// told is the pre-flight that only tells what an order will do. It waits for nothing and refuses nothing.
func told(look func(*judge, Order)) func(context.Context, *Runbook, Order) (Preflight, error) {
	return func(_ context.Context, r *Runbook, o Order) (Preflight, error) {
		s, _ := r.Fleet.Now()
		j := &judge{inv: r.Inventory, s: s, now: time.Now(), acted: r.acted}
		look(j, o)
		return Preflight{Effects: j.Effects}, nil
	}
}

// judge looks at one snapshot for all the reasons against an order. What it has not seen lately
// counts as a reason, not as health.
type judge struct {
	inv   *inventory.Inventory
	s     *fleet.Snapshot
	now   time.Time
	acted time.Time // readings begun before are of another chain
	Preflight
}

func (j *judge) no(format string, args ...any) {
	j.Reasons = append(j.Reasons, fmt.Sprintf(format, args...))
}

func (j *judge) will(format string, args ...any) {
	j.Effects = append(j.Effects, fmt.Sprintf(format, args...))
}

// maxAge is how old a reading may be to judge by: what polls it may be late, or have ended.
func maxAge(inv *inventory.Inventory) time.Duration {
	return 3*inv.Poll.Interval.Duration + inv.Poll.Timeout.Duration
}

// current reports whether an observation may be judged by, and else gives the reason.
func current[T any](j *judge, who string, o fleet.Observation[T]) bool {
	why := unknown(j, who, o)
	if why != "" {
		j.no("%s", why)
	}
	return why == ""
}

// unknown is why an observation may not be judged by; "" when it may.
func unknown[T any](j *judge, who string, o fleet.Observation[T]) string {
	switch {
	case !o.Known():
		return who + " has not answered yet."
	case o.Age(j.now) > maxAge(j.inv):
		return fmt.Sprintf("%s was last heard %s ago: too old to judge.", who, span(o.Age(j.now)))
	case o.Seen.Add(-o.Took).Before(j.acted):
		return who + " was not heard since the order before this one."
	case o.Err != nil:
		return who + " does not answer."
	}
	return ""
}

// AskedSince says that every HAProxy and pooler was asked after a change.
func AskedSince(s *fleet.Snapshot, acted time.Time) bool {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !begunSince(n.State, acted) || !begunSince(n.Stats, acted) {
			return false
		}
	}
	for i := range s.Poolers {
		if !begunSince(s.Poolers[i].View, acted) {
			return false
		}
	}
	return true
}

func begunSince[T any](o fleet.Observation[T], acted time.Time) bool {
	return !o.Tried.Add(-o.Took).Before(acted)
}

// serves says that new clients are sent to a server.
func serves(r haproxy.Row) bool { return r.State.Serving() && r.Admin == haproxy.Ready }

// takeOut is the pre-flight of drain and maint: enough poolers must be left, on both HAProxies.
func takeOut(to haproxy.Admin) func(*judge, Order) {
	return func(j *judge, o Order) {
		same, hidden := true, []string{}
		for i := range j.s.Nodes {
			n := &j.s.Nodes[i]
			if !current(j, n.Name, n.Stats) {
				same = false
				continue
			}
			row, ok := n.Server(o.Host)
			if !ok {
				j.no("%s does not know %s: its configuration is not that of the inventory.", n.Name, o.Host)
				continue
			}
			same = same && row.Admin == to && len(row.Disagree) == 0
			if to == haproxy.Drain && !row.State.Serving() && row.Admin == haproxy.Ready {
				hidden = append(hidden, n.Name)
			}
			j.remaining(n, o.Host)
		}
		if same {
			j.Preflight = Preflight{Effects: []string{fmt.Sprintf("Nothing changes: %s is in %s already.", o.Host, to)}}
			return
		}
		j.enoughPlaces(o.Host)
		if to == haproxy.Maint {
			j.cutsOff(o.Host)
		} else {
			j.lets(o.Host)
		}
		j.leaves(o.Host)
		if len(hidden) > 0 {
			j.will("%s is DOWN on %s, where a drain cannot be read back.", o.Host, list(hidden))
		}
	}
}

// remaining looks at what one node is left with when a pooler is taken out.
func (j *judge) remaining(n *fleet.Node, without string) {
	var sessions, limit int64
	var left []string
	unlimited := false
	for _, row := range n.Stats.Value.Servers(haproxy.Poolers) {
		sessions += row.Sessions
		if row.Name == without || !serves(row) || j.paused(row.Name) {
			continue
		}
		left = append(left, row.Name)
		limit += row.SessionsLimit
		unlimited = unlimited || row.SessionsLimit == 0
	}
	switch {
	case len(left) == 0:
		j.no("No other pooler serves clients of %s.", n.Name)
	case sessions > limit && !unlimited:
		j.no("%s has %s, and can have only %s to %s.", n.Name, word.Counted(sessions, "connection"), word.Count(limit), list(left))
	}
}

// paused says that a pooler is known to be paused altogether: clients sent there wait.
func (j *judge) paused(pooler string) bool {
	return slices.ContainsFunc(j.s.Poolers, func(p fleet.Pooler) bool {
		return p.Name == pooler && p.View.Known() && !p.View.Value.State.Active
	})
}

// enoughPlaces counts the poolers' client places that are left.
func (j *judge) enoughPlaces(without string) {
	var clients, places int64
	for i := range j.s.Poolers {
		p := &j.s.Poolers[i]
		clients += j.clientsOf(p)
		if p.Name == without || !j.servesEverywhere(p.Name) || j.paused(p.Name) {
			continue
		}
		places += int64(j.inv.PgBouncer.MaxClientConn)
		current(j, p.Name, p.View) // else whether it is paused is unknown
	}
	if places > 0 && clients > places { // none at all was said already, node by node
		j.no("%s %s connected, and the poolers that remain have %s.", word.Counted(clients, "client"), is(clients), word.Counted(places, "client place"))
	}
}

// clientsOf is how many clients a pooler has, by its own count or HAProxy's, whichever is more.
func (j *judge) clientsOf(p *fleet.Pooler) int64 {
	active, waiting, _ := p.View.Value.Clients()
	var sessions int64
	for i := range j.s.Nodes {
		if row, ok := j.s.Nodes[i].Server(p.Name); ok {
			sessions += row.Sessions
		}
	}
	if !p.View.OK() {
		return sessions
	}
	return max(active+waiting, sessions)
}

func (j *judge) servesEverywhere(pooler string) bool {
	for i := range j.s.Nodes {
		if row, ok := j.s.Nodes[i].Server(pooler); !ok || !serves(row) {
			return false
		}
	}
	return true
}

// putBack is the pre-flight of ready: HAProxy believes a server that leaves maint to be UP until
// its check has failed. When no pooler serves there is nothing to lose.
func (j *judge) putBack(o Order) {
	p := j.pooler(o.Host)
	if p == nil {
		return
	}
	j.returns(p)
	others := func(name string) bool { return name != o.Host && j.servesEverywhere(name) }
	if !slices.ContainsFunc(j.inv.PgBouncer.PoolerNames(), others) || !current(j, o.Host, p.View) {
		return
	}
	if paused := p.View.Value.Paused(); len(paused) > 0 {
		j.no("%s is paused: clients sent there would wait. Resume it first.", o.Host)
	}
}

func (j *judge) pooler(name string) *fleet.Pooler {
	i := slices.IndexFunc(j.s.Poolers, func(p fleet.Pooler) bool { return p.Name == name })
	if i < 0 {
		j.no("Nothing is known of %s.", name)
		return nil
	}
	return &j.s.Poolers[i]
}

func (j *judge) node(name string) *fleet.Node {
	i := slices.IndexFunc(j.s.Nodes, func(n fleet.Node) bool { return n.Name == name })
	if i < 0 {
		j.no("Nothing is known of %s.", name)
		return nil
	}
	return &j.s.Nodes[i]
}

// targets are the poolers an order is for.
func (j *judge) targets(o Order) []*fleet.Pooler {
	var out []*fleet.Pooler
	for _, name := range poolersOf(j.inv, o) {
		if p := j.pooler(name); p != nil {
			out = append(out, p)
		}
	}
	return out
}

func poolersOf(inv *inventory.Inventory, o Order) []string {
	if o.Host != "" {
		return []string{o.Host}
	}
	return inv.PgBouncer.PoolerNames()
}

// lingers is how long a session idle in a transaction has to be so to count as one that stays: a
// busy application is in that state between any two statements.
const lingers = 2 * time.Second

// wouldBlock is the pre-flight of pause.
func (j *judge) wouldBlock(o Order) {
	var clients, busy int64
	seen, known := 0, o.Database == ""
	for _, p := range j.targets(o) {
		if !current(j, p.Name, p.View) {
			continue
		}
		seen++
		v := p.View.Value
		paused := v.Paused()
		switch {
		case v.State.Suspended:
			j.no("%s is suspended.", p.Name)
		case slices.Contains(paused, "*") || len(paused) > 0 && o.Database == "" || slices.Contains(paused, o.Database):
			j.no("%s is paused already (%s).", p.Name, pausedIn(paused))
		}
		known = known || slices.ContainsFunc(v.Databases, func(d pgbouncer.Database) bool { return d.Name == o.Database })
		for _, pool := range poolsOf(v, o.Database) {
			clients += pool.ClActive + pool.ClWaiting
			busy += pool.SvActive
		}
	}
	if seen > 0 && !known {
		j.no("No client has used a database %s yet, so there is nothing to pause. Is its name right?", o.Database)
	}
	j.lingering(busy)
	if seen > 0 {
		j.holds(o, clients, busy)
	}
}

// lingering finds a session that PAUSE would wait for. The snapshot does not tell through which
// pooler it came; with no server connection in use it came through none of them.
func (j *judge) lingering(busy int64) {
	if busy == 0 || !current(j, j.s.Postgres.Name, j.s.Postgres.Probe) {
		return
	}
	p := j.s.Postgres.Probe.Value
	if p.IdleInTransaction > 0 && p.LongestIdleInXact >= lingers {
		j.no("A session has been idle in a transaction for %s, and a pause waits for it. End it first, or have its application commit.",
			span(p.LongestIdleInXact))
	}
}

// readsAgain is the pre-flight of reload.
func (j *judge) readsAgain(o Order) {
	if heard := j.answering(o); len(heard) > 0 {
		j.rereads(heard)
	}
}

// answering are the poolers of an order that answer; that another does not is a reason against it.
func (j *judge) answering(o Order) []*fleet.Pooler {
	var out []*fleet.Pooler
	for _, p := range j.targets(o) {
		if current(j, p.Name, p.View) {
			out = append(out, p)
		}
	}
	return out
}

// needsPostgres is the pre-flight of reconnect: without PostgreSQL the connections that are given
// up are not replaced.
func (j *judge) needsPostgres(o Order) {
	heard := j.answering(o)
	current(j, j.s.Postgres.Name, j.s.Postgres.Probe)
	if len(heard) > 0 {
		j.replaces(heard, o.Database)
	}
}

// moveVIP is the pre-flight of relinquish: the node must hold the VIP and be able to give it up,
// and the other must be able to take it and to serve.
func (j *judge) moveVIP(o Order) {
	from, to := j.node(o.Host), j.node(j.inv.HAProxy.Peer(o.Host).Name)
	if from == nil || to == nil {
		return
	}
	if hears, heard := j.heard(from), j.heard(to); !hears || !heard {
		return
	}
	is, peer := from.State.Value, to.State.Value
	switch {
	case is.VIP && peer.VIP:
		j.no("%s and %s both hold the VIP: a move does not end that. Restart keepalived on the one that should not.", from.Name, to.Name)
	case peer.VIP:
		j.no("%s does not hold the VIP: %s does.", from.Name, to.Name)
	case !is.VIP:
		j.no("Nobody holds the VIP.")
	case j.s.VIP.Answers.OK() && j.s.VIP.Answers.Value != from.Name && j.s.VIP.Answers.Age(j.now) <= maxAge(j.inv):
		j.no("%s says it holds the VIP, but %s answers there.", from.Name, j.s.VIP.Answers.Value)
	}
	if !is.Keepalived {
		j.no("keepalived is dead on %s: it could not give the VIP up, and both would hold it.", from.Name)
	}
	j.couldTake(to, peer)
	j.fitOn(from, to)
}

// heard says that both halves of a node were read.
func (j *judge) heard(n *fleet.Node) bool {
	return current(j, n.Name, n.State) && current(j, "The statistics page of "+n.Name, n.Stats)
}

func (j *judge) couldTake(n *fleet.Node, is haproxy.NodeState) {
	switch {
	case !is.Keepalived:
		j.no("keepalived is dead on %s: it could not take the VIP.", n.Name)
	case !is.VIP && is.VRRP != "BACKUP":
		j.no("keepalived on %s is in state %s: it could not take the VIP.", n.Name, is.VRRP)
	}
	switch {
	case is.Hold:
		j.no("%s is held back from the VIP itself. Release it first (reclaim).", n.Name)
	case is.Poolers == 0:
		j.no("%s sees no pooler.", n.Name)
	case !is.Ready:
		j.no("%s is not ready: %s.", n.Name, is.Why)
	}
}

// fitOn looks whether the clients of one node fit on what the other sees of the poolers.
func (j *judge) fitOn(from, to *fleet.Node) {
	var sessions, limit int64
	var left int
	unlimited := false
	for _, row := range from.Stats.Value.Servers(haproxy.Poolers) {
		sessions += row.Sessions
	}
	for _, row := range to.Stats.Value.Servers(haproxy.Poolers) {
		if serves(row) && !j.paused(row.Name) {
			left++
			limit += row.SessionsLimit
			unlimited = unlimited || row.SessionsLimit == 0
		}
	}
	switch {
	case left == 0 && to.State.Value.Poolers > 0:
		j.no("No pooler that %s sees serves clients.", to.Name)
	case left > 0 && sessions > limit && !unlimited:
		j.no("%s has %s, and %s can have only %s.", from.Name, word.Counted(sessions, "connection"), to.Name, word.Count(limit))
	}
	j.moves(from, to, sessions)
}

// isHeld is the pre-flight of reclaim.
func (j *judge) isHeld(o Order) {
	n := j.node(o.Host)
	if n == nil || !current(j, n.Name, n.State) {
		return
	}
	if !n.State.Value.Hold {
		j.no("%s is not held back from the VIP.", n.Name)
		return
	}
	j.letsBack(n)
}
