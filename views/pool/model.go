// Package pool is the pages of the poolers: all of them in a table, one of them with everything that
// is known of it, and the confirmation of every order to them.
package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// ListModel is the page /poolers.
type ListModel struct {
	View     chain.View
	Operates bool // the viewer may give orders
}

// Fragments are the parts that the stream keeps current.
func (m ListModel) Fragments() []layout.Fragment { return []layout.Fragment{m.table()} }

func (m ListModel) table() layout.Fragment {
	return layout.Fragment{ID: "poolers", Body: table(m.View)}
}

// Setting is one setting that a pooler runs with.
type Setting struct{ Name, Value, Default string }

// Trends are the last 15 minutes of one pooler.
type Trends struct{ Clients, Waiting, Servers, Xacts ui.Series }

// Model is the page /poolers/NAME.
type Model struct {
	View   chain.View
	Pooler fleet.Pooler
	Trends Trends
	// Settings are asked for when the page is made; SettingsUnknown says why there are none.
	Settings        []Setting
	SettingsUnknown string
	Operates        bool // the viewer may give orders
}

// Find is the pooler of a name in the snapshot, for Model.
func Find(v chain.View, name string) (fleet.Pooler, bool) {
	i := slices.IndexFunc(v.Snapshot.Poolers, func(p fleet.Pooler) bool { return p.Name == name })
	if i < 0 {
		return fleet.Pooler{}, false
	}
	return v.Snapshot.Poolers[i], true
}

// Fragments are the parts that the stream keeps current.
func (m Model) Fragments() []layout.Fragment {
	list := []layout.Fragment{m.head(), m.now(), m.trends(), m.opinions(), m.pools(), m.databases()}
	if m.Operates {
		list = append(list, m.actions())
	}
	return list
}

func (m Model) head() layout.Fragment { return layout.Fragment{ID: "head", Body: head(m)} }
func (m Model) actions() layout.Fragment {
	return layout.Fragment{ID: "orders", Body: orders(m.View, m.Pooler)}
}
func (m Model) now() layout.Fragment { return layout.Fragment{ID: "now", Body: now(m)} }
func (m Model) trends() layout.Fragment {
	return layout.Fragment{ID: "trends", Body: trends(m.Trends)}
}
func (m Model) opinions() layout.Fragment {
	return layout.Fragment{ID: "opinions", Body: opinions(m.View.Clock, m.View.Opinions(m.Pooler.Name))}
}
func (m Model) pools() layout.Fragment { return layout.Fragment{ID: "pools", Body: pools(m.Pooler)} }
func (m Model) databases() layout.Fragment {
	return layout.Fragment{ID: "databases", Body: databases(m.Pooler)}
}

// places is the gauge of a pooler's client places.
func places(v chain.View, p fleet.Pooler) ui.Gauge {
	active, waiting, _ := p.View.Value.Clients()
	return ui.Gauge{Label: "clients", Value: active + waiting, Limit: int64(v.Inventory.PgBouncer.MaxClientConn), Warn: 80, Alarm: 95}
}

// servers is the gauge of a pooler's server connections.
func servers(v chain.View, p fleet.Pooler) ui.Gauge {
	_, all := p.View.Value.Servers()
	return ui.Gauge{Label: "server connections", Value: all, Limit: int64(v.Inventory.PgBouncer.PoolSize + v.Inventory.PgBouncer.ReservePoolSize), Warn: 95}
}

// busyPools are the pools of applications, the busiest first; the console's own is none.
func busyPools(p fleet.Pooler) []poolRow {
	var out []poolRow
	for _, q := range p.View.Value.Pools {
		if q.Database == "pgbouncer" {
			continue
		}
		out = append(out, poolRow{Database: q.Database, User: q.User, Mode: q.PoolMode, Clients: q.ClActive + q.ClWaiting, Waiting: q.ClWaiting,
			MaxWait: q.MaxWait, Active: q.SvActive, Idle: q.SvIdle + q.SvUsed, Login: q.SvLogin + q.SvTested})
	}
	slices.SortStableFunc(out, func(a, b poolRow) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.Clients, a.Clients), strings.Compare(a.Database+a.User, b.Database+b.User))
	})
	return out
}

type poolRow struct {
	Database, User, Mode string
	Clients, Waiting     int64
	MaxWait              time.Duration
	Active, Idle, Login  int64
}

// Verb is an order that can be given to a pooler.
type Verb string

const (
	Drain     Verb = "drain"
	Maint     Verb = "maint"
	Ready     Verb = "ready"
	Pause     Verb = "pause"
	Resume    Verb = "resume"
	Reconnect Verb = "reconnect"
	Reload    Verb = "reload"
)

var label = map[Verb]string{Drain: "Drain", Maint: "Maint", Ready: "Ready", Pause: "Pause", Resume: "Resume", Reconnect: "Reconnect", Reload: "Reload"}

// OfAll are the verbs that all poolers can be given at once.
var OfAll = []Verb{Pause, Resume, Reconnect, Reload}

// URL is where an order is confirmed and given: /poolers/pgb1/drain; for all of them /pools/pause.
func (v Verb) URL(pooler string) string {
	if pooler == "" {
		return "/pools/" + string(v)
	}
	return "/poolers/" + pooler + "/" + string(v)
}

// verbs are those that make sense for a pooler now, what restores first.
func verbs(v chain.View, p fleet.Pooler) []Verb {
	ordered, ready := false, false
	for _, o := range v.Opinions(p.Name) {
		ordered = ordered || strings.HasPrefix(o.Word, "DRAIN") || strings.HasPrefix(o.Word, "MAINT")
		ready = ready || o.Serving
	}
	var out []Verb
	if ordered {
		out = append(out, Ready)
	}
	paused := p.View.Known() && len(p.View.Value.Paused()) > 0
	if paused {
		out = append(out, Resume)
	}
	if ready {
		out = append(out, Drain)
	}
	out = append(out, Maint)
	if !paused {
		out = append(out, Pause)
	}
	return append(out, Reconnect, Reload)
}

// restores reports whether a verb ends something: it is offered most clearly.
func (v Verb) restores() bool { return v == Ready || v == Resume }

// Order is an order on its way: from the dry run to the page that confirms it, and back to that page
// when it was refused or failed.
type Order struct {
	Verb     Verb
	Pooler   string // "" is every pooler
	Database string // of pause, resume and reconnect; "" is every database
	For      string // of a pause, in seconds, as entered
	Reason   string // as entered
	Effects  []string
	Refused  []string
	Failed   []string // what was done and undone, line by line
	Faults   ui.Faults
	Checked  time.Time
	Clock    ui.Clock
}

// says is what each verb means, in a sentence; %s is who.
var says = map[Verb]string{
	Drain:     "%s gets no new clients on either HAProxy. Those it has stay until they leave by themselves.",
	Maint:     "%s gets no clients on either HAProxy, and those it has are disconnected.",
	Ready:     "%s gets clients again on both HAProxies.",
	Pause:     "%s finishes the transactions that run and begins none: clients wait, and nobody is disconnected. It ends by itself.",
	Resume:    "%s goes on: clients that wait are served.",
	Reconnect: "%s replaces every server connection as its transaction ends. Clients notice nothing but the time of a login.",
	Reload:    "%s reads its configuration files again. Nobody is disconnected.",
}

// wants is each order as a button has it; %s is who.
var wants = map[Verb]string{Drain: "Drain %s", Maint: "Put %s into maint", Ready: "Make %s ready", Pause: "Pause %s", Resume: "Resume %s",
	Reconnect: "Reconnect %s", Reload: "Reload %s"}

var doing = map[Verb]string{Drain: "Draining …", Maint: "Taking it out …", Ready: "Putting it back …", Pause: "Pausing …", Resume: "Resuming …",
	Reconnect: "Reconnecting …", Reload: "Reloading …"}

// Confirm is the page that asks before an order is given.
func (o Order) Confirm() ui.Confirm {
	who, back := o.Pooler, "/poolers/"+o.Pooler
	if o.Pooler == "" {
		who, back = "every pooler", "/poolers"
	}
	name := fmt.Sprintf(wants[o.Verb], who)
	if o.Database != "" {
		name += ", database " + o.Database
	}
	c := ui.Confirm{Action: o.Verb.URL(o.Pooler), Title: name + "?", Submit: name, Busy: doing[o.Verb], Cancel: back,
		Say: sentence(fmt.Sprintf(says[o.Verb], who)), Effects: o.Effects, Refused: o.Refused, Failed: o.Failed,
		Danger: o.Verb == Maint, Reason: !o.Verb.restores(), Text: o.Reason, Faults: o.Faults, Checked: o.Checked, Clock: o.Clock}
	if o.Database != "" {
		c.Hidden = []ui.Hidden{{Name: "database", Value: o.Database}}
	}
	if o.Verb == Pause {
		c.Fields = []ui.Input{{Name: "for", Label: "For at most", Value: cmp.Or(o.For, "30"), Wrong: o.Faults.Of("for"),
			Options: []ui.Option{{Value: "10", Label: "10 s"}, {Value: "30", Label: "30 s"}, {Value: "60", Label: "1 min"}, {Value: "100", Label: "1 min 40 s"}}}}
	}
	return c
}

// sentence begins with a capital.
func sentence(s string) string {
	if strings.HasPrefix(s, "every") {
		return "E" + s[1:]
	}
	return s
}
