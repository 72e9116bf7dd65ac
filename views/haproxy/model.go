// Package haproxy is the page of the HAProxy nodes, side by side with their differences marked, and
// the confirmation of a planned move of the VIP.
package haproxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// Model is the page /haproxy.
type Model struct {
	View     chain.View
	Stats    string // URL of HAProxy's own statistics page; "" leaves the link out
	Operates bool   // the viewer may give orders
}

// Fragments are the parts that the stream keeps current.
func (m Model) Fragments() []layout.Fragment {
	list := []layout.Fragment{m.tiles(), m.nodes(), m.servers()}
	if m.Operates {
		list = append(list, m.actions())
	}
	return list
}

func (m Model) tiles() layout.Fragment { return layout.Fragment{ID: "vip", Body: tiles(m.View)} }
func (m Model) nodes() layout.Fragment {
	return layout.Fragment{ID: "nodes", Body: table("Both nodes", "Node", names(m.View.Snapshot.Nodes), nodeLines(m.View), m.View.Clock)}
}
func (m Model) servers() layout.Fragment {
	return layout.Fragment{ID: "servers", Body: servers(m.View)}
}
func (m Model) actions() layout.Fragment {
	return layout.Fragment{ID: "orders", Body: orders(m.View)}
}

func names(nodes []fleet.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}

// cell is what one node says in one line.
type cell struct {
	text  string
	state ui.State  // "" is plain text
	at    time.Time // a moment in place of the text; with one, what began then
}

// line is one fact of every node. It differs when the nodes ought to say the same and do not.
type line struct {
	name    string
	cells   []cell
	differs bool
}

// fact makes a line; alike says that the nodes ought to say the same.
func fact(name string, alike bool, nodes []fleet.Node, say func(fleet.Node) cell) line {
	l := line{name: name}
	for _, n := range nodes {
		l.cells = append(l.cells, say(n))
	}
	l.differs = alike && unlike(l.cells)
	return l
}

// unlike reports whether cells differ; those that are not known are not counted.
func unlike(cells []cell) bool {
	known := slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.state == ui.Unknown || c.state == ui.Stale })
	return slices.ContainsFunc(known, func(c cell) bool { return c.text != known[0].text || c.state != known[0].state })
}

var notKnown = cell{text: "not known", state: ui.Unknown}

// nodeLines are the facts about the nodes themselves.
func nodeLines(v chain.View) []line {
	nodes := v.Snapshot.Nodes
	state := func(say func(fleet.Node) cell) func(fleet.Node) cell {
		return func(n fleet.Node) cell {
			switch {
			case !n.State.Known():
				return notKnown
			case !n.State.OK():
				return cell{text: say(n).text, state: ui.Stale}
			}
			return say(n)
		}
	}
	limits := map[int64]bool{}
	for _, n := range nodes {
		if front, ok := n.Stats.Value.Find("postgres", "FRONTEND"); ok && n.Stats.OK() {
			limits[front.SessionsLimit] = true
		}
	}
	stats := func(say func(n fleet.Node, sessions, limit, most int64) cell) func(fleet.Node) cell {
		return func(n fleet.Node) cell {
			if !n.Stats.Known() {
				return notKnown
			}
			front, _ := n.Stats.Value.Find("postgres", "FRONTEND")
			c := say(n, front.Sessions, front.SessionsLimit, front.SessionsMax)
			if !n.Stats.OK() {
				c.state = ui.Stale
			}
			return c
		}
	}
	connections := fact("Connections", false, nodes, stats(func(_ fleet.Node, now, limit, _ int64) cell {
		return cell{text: ui.Count(now) + " of " + ui.Count(limit)}
	}))
	connections.differs = len(limits) > 1 // of them there may be more here than there, but the limit is one
	return []line{
		fact("VRRP", false, nodes, state(func(n fleet.Node) cell { return vrrp(n.State.Value.VRRP) })),
		fact("keepalived", true, nodes, state(func(n fleet.Node) cell { return yes(n.State.Value.Keepalived, "alive", "dead", ui.Warning) })),
		fact("Has the VIP", false, nodes, state(func(n fleet.Node) cell { return cell{text: yesNo(n.State.Value.VIP)} })),
		fact("Fit to hold the VIP", true, nodes, state(ready)),
		fact("Held back by an operator", false, nodes, state(heldBack)),
		fact("Poolers up", true, nodes, state(func(n fleet.Node) cell {
			return cell{text: fmt.Sprintf("%d of %d", n.State.Value.Poolers, n.State.Value.PoolersTotal)}
		})),
		connections,
		fact("Most connections so far", false, nodes, stats(func(_ fleet.Node, _, _, most int64) cell { return cell{text: ui.Count(most)} })),
		fact("New connections", false, nodes, stats(func(n fleet.Node, _, _, _ int64) cell { return cell{text: ui.Rate(n.Rates.Sessions) + "/s"} })),
		fact("From clients", false, nodes, stats(func(n fleet.Node, _, _, _ int64) cell { return cell{text: ui.Bytes(int64(n.Rates.BytesIn)) + "/s"} })),
		fact("To clients", false, nodes, stats(func(n fleet.Node, _, _, _ int64) cell { return cell{text: ui.Bytes(int64(n.Rates.BytesOut)) + "/s"} })),
		fact("Last heard", false, nodes, func(n fleet.Node) cell { return heard(n) }),
	}
}

func heldBack(n fleet.Node) cell {
	if n.State.Value.Hold {
		return cell{text: "yes", state: ui.Planned}
	}
	return cell{text: "no"}
}

func vrrp(state string) cell {
	switch state {
	case "MASTER", "BACKUP":
		return cell{text: state, state: ui.OK}
	case "FAULT", "STOP":
		return cell{text: state, state: ui.Warning}
	}
	return cell{text: state, state: ui.Unknown}
}

func ready(n fleet.Node) cell {
	if n.State.Value.Ready {
		return cell{text: "yes", state: ui.OK}
	}
	return cell{text: "no: " + n.State.Value.Why, state: ui.Warning}
}

// yes says good or bad, the latter with its state.
func yes(ok bool, good, bad string, state ui.State) cell {
	if ok {
		return cell{text: good, state: ui.OK}
	}
	return cell{text: bad, state: state}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func heard(n fleet.Node) cell {
	switch {
	case !n.State.Known() && !n.Stats.Known():
		return cell{text: "never", state: ui.Unknown}
	case n.State.OK() && n.Stats.OK():
		return cell{text: "now"}
	case n.State.OK():
		return cell{at: n.Stats.Seen, state: ui.Stale}
	}
	return cell{at: n.State.Seen, state: ui.Stale}
}

// serverLines are the facts that every node has about one pooler.
func serverLines(v chain.View, pooler string) []line {
	nodes, views := v.Snapshot.Nodes, v.Opinions(pooler)
	at := func(n fleet.Node) int {
		return slices.IndexFunc(nodes, func(o fleet.Node) bool { return o.Name == n.Name })
	}
	of := func(say func(n fleet.Node, o chain.Opinion) cell) func(fleet.Node) cell {
		return func(n fleet.Node) cell {
			o := views[at(n)]
			if _, ok := n.Server(pooler); !ok {
				return notKnown
			}
			c := say(n, o)
			if !o.Current {
				c.state = ui.Stale
			}
			return c
		}
	}
	number := func(count func(n fleet.Node) string) func(fleet.Node) cell {
		return of(func(n fleet.Node, _ chain.Opinion) cell { return cell{text: count(n)} })
	}
	return []line{
		fact("State", true, nodes, of(func(_ fleet.Node, o chain.Opinion) cell { return cell{text: o.Word, state: o.State} })),
		alikeBy(fact("Last check", false, nodes, of(func(n fleet.Node, o chain.Opinion) cell {
			r, _ := n.Server(pooler)
			return cell{text: Check(o.Check, o.Said, r.CheckDuration), state: checkState(o.Check)}
		}))),
		fact("Since", false, nodes, of(func(_ fleet.Node, o chain.Opinion) cell { return cell{text: o.Lasts, at: o.Changed} })),
		fact("Went DOWN, or to maint", false, nodes, of(func(n fleet.Node, _ chain.Opinion) cell { return fell(n, pooler) })),
		fact("Connections", false, nodes, number(func(n fleet.Node) string { r, _ := n.Server(pooler); return ui.Count(r.Sessions) })),
		fact("Connects that failed", false, nodes, number(func(n fleet.Node) string { r, _ := n.Server(pooler); return ui.Count(r.ErrConn) })),
		fact("Given to another pooler", false, nodes, number(func(n fleet.Node) string { r, _ := n.Server(pooler); return ui.Count(r.Redispatches) })),
	}
}

// alikeBy marks a line whose states differ: how long a check took is nobody's fault.
func alikeBy(l line) line {
	states := slices.Clone(l.cells)
	for i := range states {
		states[i].text = ""
	}
	l.differs = unlike(states)
	return l
}

// lately is how long ago a fall still is news.
const lately = time.Hour

// fell is how often a pooler went DOWN since HAProxy started, which counts an operator's maint as well. Every fall
// ends with a check that failed: where none has it was maint each time, and what is more than those is no evidence.
func fell(n fleet.Node, pooler string) cell {
	r, _ := n.Server(pooler)
	times, fails := most(r.CheckDowns, r.Downs), most(r.CheckFails, r.Fails)
	switch {
	case times == 0:
		return cell{text: "never"}
	case fails == 0:
		return cell{text: "to maint only, " + ui.Counted(times, "time")}
	}
	c := cell{text: ui.Counted(times, "time") + ", " + ui.Span(r.Downtime) + " in all"}
	if min(times, fails) > 1 && r.LastChange < lately && r.State.Serving() && r.Admin.String() == "ready" {
		c.state = ui.Warning
	}
	return c
}

func checkState(outcome string) ui.State {
	switch {
	case outcome == "":
		return ui.Planned // maint: nothing is checked
	case strings.HasSuffix(outcome, "OK"):
		return ui.OK
	}
	return ui.Critical
}

// holds reports whether a node has the VIP, by its own word.
func holds(n fleet.Node) bool { return n.State.OK() && n.State.Value.VIP }

// Verb is an order to a node.
type Verb string

const (
	Relinquish Verb = "relinquish"
	Reclaim    Verb = "reclaim"
)

// URL is where an order is confirmed and given: /haproxy/haproxy1/relinquish.
func (v Verb) URL(node string) string { return "/haproxy/" + node + "/" + string(v) }

// Done says that an order was carried out.
func (v Verb) Done(node string) string {
	if v == Relinquish {
		return "the VIP has left " + node
	}
	return node + " is released"
}

// Order is an order on its way, as pool.Order.
type Order struct {
	Verb Verb
	Node string
	Peer string // the other node
	ui.Verdict
}

// Confirm is the page that asks before an order is given.
func (o Order) Confirm() ui.Confirm {
	c := ui.Confirm{Action: o.Verb.URL(o.Node), Cancel: "/haproxy", Verdict: o.Verdict}
	if o.Verb == Relinquish {
		c.Title, c.Submit, c.Busy = "Move the VIP from "+o.Node+" to "+o.Peer+"?", "Move the VIP to "+o.Peer, "Moving the VIP …"
		c.Say = o.Node + " gives the VIP up to " + o.Peer + ", and does not take it back, unless " + o.Peer + " fails. Afterwards press “Release " + o.Node + "” to let it stand by again."
		c.Danger, c.Reason = true, true
		return c
	}
	c.Title, c.Submit, c.Busy = "Release "+o.Node+"?", "Release "+o.Node, "Releasing …"
	c.Say = o.Node + " stands by again, and takes the VIP when the other node fails. The VIP is not moved back now: that would disconnect everybody once more."
	return c
}

// most is what a node counted of a pooler: each of its processes counts for itself what is one time.
func most(all int64, each []int64) int64 {
	if len(each) == 0 {
		return all
	}
	return slices.Max(each)
}
