// Package overview is the first page: the chain from the clients to PostgreSQL as it is now, one
// sentence about it above, and what changed last below.
package overview

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/pool"
	"weir/views/ui"
)

// Trends are the last 15 minutes, by host name where there is one for each. A series that is
// missing is drawn as not known. Sixty points are as many as are drawn.
type Trends struct {
	Passage       ui.Series            // seconds that a new connection and a query took through the VIP
	Sessions      map[string]ui.Series // of HAProxy nodes
	New           map[string]ui.Series // connections a second, of HAProxy nodes
	Clients       map[string]ui.Series // of poolers
	Xacts         map[string]ui.Series // a second, of poolers
	Connections   ui.Series            // to PostgreSQL
	PostgresXacts ui.Series            // a second
}

// sum adds the series of all hosts; what is not known of one is nothing.
func sum(of map[string]ui.Series) ui.Series {
	var out ui.Series
	for _, s := range of {
		for len(out) < len(s) {
			out = append(out, math.NaN())
		}
		for i, v := range s {
			if !math.IsNaN(v) {
				out[i] = v + zeroIfNaN(out[i])
			}
		}
	}
	return out
}

func zeroIfNaN(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// Change is one line of what changed last: a transition of an incident, or an act of an operator.
type Change struct {
	At    time.Time
	State ui.State
	Text  string // pgb2 down
	Who   string // of an act; "" is the monitor
	Href  string // "" is nowhere
}

// History is the last ten changes.
type History struct {
	Changes []Change
	// Unreachable says that PostgreSQL, which keeps them, cannot be asked; Since may be zero. Why is what is in
	// the way, "" that it does not answer itself.
	Unreachable bool
	Since       time.Time
	Why         string
}

// Model is everything the page shows.
type Model struct {
	View     chain.View
	Trends   Trends
	History  History
	Told     *ui.Notice // why nobody is told of incidents; nil: somebody is
	Operates bool       // the viewer may give orders
}

// Fragments are the parts that the stream keeps current. Trends change every 10 s only, so they are
// apart from the numbers beside them.
func (m Model) Fragments() []layout.Fragment {
	list := []layout.Fragment{m.sentence(), m.told(), m.vip(), m.vipTrend(), m.wires(), m.postgres(), m.postgresTrend(), m.changes()}
	for _, n := range m.View.Snapshot.Nodes {
		list = append(list, m.node(n), m.nodeTrend(n))
	}
	for _, p := range m.View.Snapshot.Poolers {
		list = append(list, m.pooler(p), m.poolerTrend(p))
	}
	return list
}

func (m Model) sentence() layout.Fragment {
	return layout.Fragment{ID: "sentence", Body: sentence(m.View, m.View.Sentence())}
}

func (m Model) told() layout.Fragment { return layout.Fragment{ID: "told", Body: told(m)} }

func (m Model) vip() layout.Fragment { return layout.Fragment{ID: "vip", Body: vip(m)} }

func (m Model) vipTrend() layout.Fragment {
	return layout.Fragment{ID: "vip-trend", Body: trends(
		ui.Trend{Label: "clients", Series: sum(m.Trends.Clients).Thin(60), Format: ui.Whole},
		ui.Trend{Label: "tps", Series: sum(m.Trends.Xacts).Thin(60)},
		ui.Trend{Label: "a query through it", Series: m.Trends.Passage.Thin(60), Format: seconds})}
}

func (m Model) wires() layout.Fragment { return layout.Fragment{ID: "wires", Body: wires(m.View)} }

func (m Model) postgres() layout.Fragment {
	return layout.Fragment{ID: "postgres", Body: postgres(m)}
}

func (m Model) postgresTrend() layout.Fragment {
	return layout.Fragment{ID: "postgres-trend", Body: trends(
		ui.Trend{Label: "connections", Series: m.Trends.Connections.Thin(60), Format: ui.Whole},
		ui.Trend{Label: "tps", Series: m.Trends.PostgresXacts.Thin(60)})}
}

func (m Model) changes() layout.Fragment {
	return layout.Fragment{ID: "changes", Body: changes(m.View.Clock, m.History)}
}

func (m Model) node(n fleet.Node) layout.Fragment {
	return layout.Fragment{ID: "node-" + n.Name, Body: node(m.View, n)}
}

func (m Model) nodeTrend(n fleet.Node) layout.Fragment {
	return layout.Fragment{ID: "node-" + n.Name + "-trend", Body: trends(
		ui.Trend{Label: "connections", Series: m.Trends.Sessions[n.Name].Thin(60), Format: ui.Whole},
		ui.Trend{Label: "new /s", Series: m.Trends.New[n.Name].Thin(60)})}
}

func (m Model) pooler(p fleet.Pooler) layout.Fragment {
	return layout.Fragment{ID: "pooler-" + p.Name, Body: pooler(m.View, p)}
}

func (m Model) poolerTrend(p fleet.Pooler) layout.Fragment {
	return layout.Fragment{ID: "pooler-" + p.Name + "-trend", Body: trends(
		ui.Trend{Label: "clients", Series: m.Trends.Clients[p.Name].Thin(60), Format: ui.Whole},
		ui.Trend{Label: "tps", Series: m.Trends.Xacts[p.Name].Thin(60)})}
}

func seconds(v float64) string { return ui.Took(time.Duration(v * float64(time.Second))) }

// clients are those of all poolers that were read last, and how many of them wait.
func clients(s *fleet.Snapshot) (all, waiting int64) {
	for _, p := range s.Poolers {
		if p.View.OK() {
			active, wait, _ := p.View.Value.Clients()
			all, waiting = all+active+wait, waiting+wait
		}
	}
	return all, waiting
}

// xacts are the transactions a second of all poolers.
func xacts(s *fleet.Snapshot) float64 {
	sum := 0.0
	for _, p := range s.Poolers {
		if p.View.OK() {
			sum += p.Rates.Xacts
		}
	}
	return sum
}

// wire is one line of the drawing between two hops; y in per cent.
type wire struct {
	From, To string
	Class    string // flow, spare, planned, broken, unknown
}

// flows reports whether anything comes through: upstream of a break no line looks alive.
func flows(v chain.View) bool { return v.Through().State != ui.Critical }

// lines joins every node with every pooler by what the node thinks of it. Those of the holder carry
// the clients.
func lines(v chain.View) []wire {
	s := v.Snapshot
	var out []wire
	for i, n := range s.Nodes {
		holds := n.State.OK() && n.State.Value.VIP && flows(v)
		for j, p := range s.Poolers {
			o := v.Opinions(p.Name)[i]
			out = append(out, wire{middle(i, len(s.Nodes)), middle(j, len(s.Poolers)), class(o, holds)})
		}
	}
	return out
}

func class(o chain.Opinion, holds bool) string {
	switch {
	case !o.Current:
		return "unknown"
	case o.State == ui.Planned:
		return "planned"
	case !o.Serving:
		return "broken"
	case holds:
		return "flow"
	}
	return "spare"
}

// middle is where the i-th of n tiles has its middle, in per cent of their column.
func middle(i, n int) string {
	return strconv.FormatFloat(float64(2*i+1)*50/float64(n), 'f', 2, 64)
}

func toNodes(v chain.View) []wire {
	var out []wire
	for i, n := range v.Snapshot.Nodes {
		w := wire{"50", middle(i, len(v.Snapshot.Nodes)), "spare"}
		switch {
		case !n.State.OK():
			w.Class = "unknown"
		case n.State.Value.VIP && flows(v):
			w.Class = "flow"
		case len(v.Snapshot.Holders()) == 0:
			w.Class = "broken"
		}
		out = append(out, w)
	}
	return out
}

func toPostgres(v chain.View) []wire {
	var out []wire
	for i, p := range v.Snapshot.Poolers {
		w := wire{middle(i, len(v.Snapshot.Poolers)), "50", "flow"}
		switch m := v.Pooler(p); {
		case !v.Snapshot.Postgres.Probe.OK() && v.Postgres().State == ui.Critical, m.State == ui.Critical:
			w.Class = "broken"
		case !p.View.OK():
			w.Class = "unknown"
		case m.State == ui.Planned && len(p.View.Value.Paused()) > 0:
			w.Class = "planned"
		}
		out = append(out, w)
	}
	return out
}

// paused says what is paused of a pooler; "" is nothing.
func paused(names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case names[0] == "*":
		return "All its pools are paused: clients wait."
	}
	return fmt.Sprintf("Paused: %s. Their clients wait.", strings.Join(names, ", "))
}

var wireAt = map[int]string{1: "wire-1", 2: "wire-2", 3: "wire-3"}

// loudestWait is how loud the waiting clients of all poolers are.
func loudestWait(v chain.View) ui.State {
	state := ui.OK
	for _, p := range v.Snapshot.Poolers {
		if p.View.OK() {
			_, n, longest := p.View.Value.Clients()
			state = ui.Louder(state, chain.Waiting(n, longest))
		}
	}
	return state
}

func longestWait(n int64, longest time.Duration) string {
	if n == 0 || longest < time.Second {
		return ""
	}
	return "for " + ui.Span(longest)
}

// busy is how much of a pool is in use, in the few words that a tile has room for.
func busy(u pool.Use) ui.Gauge {
	g := u.Gauge()
	g.Label = "pool " + u.Name() + " in use"
	return g
}

// longest is the age of the oldest transaction.
func longest(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return ui.Took(d)
}

// fresh is how long a server counts as just started.
const fresh = 10 * time.Minute

// fewer is how loud it is that a node sees fewer poolers than there are.
func fewer(n fleet.Node) ui.State {
	switch s := n.State.Value; {
	case s.PoolersTotal > 0 && s.Poolers == 0:
		return ui.Critical
	case s.Poolers < s.PoolersTotal:
		return ui.Warning
	}
	return ui.OK
}

func older(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// nodeLine is what keepalived says, and why the node is not ready.
func nodeLine(n fleet.Node) string {
	s := n.State.Value
	text := "VRRP " + s.VRRP
	if !s.Keepalived {
		text += ", keepalived dead"
	}
	if s.Why != "" {
		text += "; not ready: " + s.Why
	}
	return text
}

// also names what else is wrong, in the line that names the first.
func also(s chain.Sentence) string {
	var words []string
	for _, o := range s.Others {
		words = append(words, o.Word)
	}
	if len(words) == 0 {
		return ""
	}
	return ", " + s.More() + ": " + strings.Join(words, ", ")
}
