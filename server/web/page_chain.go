package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/a-h/templ"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/views/haproxy"
	"weir/views/layout"
	"weir/views/overview"
	"weir/views/pool"
	"weir/views/ui"
)

type (
	seeing func(path string, make maker)
	doing  func(path string, h func(rw http.ResponseWriter, a *asked) error)
)

// chainPages are the overview, the poolers and the HAProxy nodes, with the orders to them.
func (w *Web) chainPages(see seeing, do doing) {
	see("/{$}", w.overview)
	see("/poolers", w.poolers)
	see("/poolers/{pooler}", w.pooler)
	see("/haproxy", w.haproxy)
	w.orders(see, do, "/poolers/{pooler}/{verb}", poolerOrder)
	w.orders(see, do, "/pools/{verb}", poolerOrder)
	w.orders(see, do, "/haproxy/{node}/{verb}", nodeOrder)
}

// orders are confirmed at their own address, and given there.
func (w *Web) orders(see seeing, do doing, path string, filled func(*asked) (order, error)) {
	see(path, func(a *asked) (made, error) { return w.confirm(a, filled) })
	do(path, func(rw http.ResponseWriter, a *asked) error { return w.order(rw, a, filled) })
}

func (w *Web) overview(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	inv, t := w.Deps.Inventory, w.trends(a)
	m := overview.Model{View: a.view(), Operates: a.operates(), Told: w.nobodyTold(a.Context()), History: w.history(a), Trends: overview.Trends{
		Passage: t.of(passageTrend, ""), Connections: t.of(connectionsTrend, ""), PostgresXacts: t.of(serverXactsTrend, ""),
		Sessions: t.hosts(sessionsTrend, inv.HAProxy.NodeNames()), New: t.hosts(newTrend, inv.HAProxy.NodeNames()),
		Clients: t.hosts(clientsTrend, inv.PgBouncer.PoolerNames()), Xacts: t.hosts(xactsTrend, inv.PgBouncer.PoolerNames()),
	}}
	return made{title: "Overview", section: layout.Overview, content: overview.Content(m), fragments: m.Fragments()}, nil
}

const (
	changesShown = 10
	actsRead     = 50          // of which some are about accounts
	historyLimit = time.Second // the first page does not wait longer for what is nice to know
)

// history is the last ten changes: what became of incidents, and what operators did.
func (w *Web) history(a *asked) overview.History {
	if since, away := a.away(); away {
		return overview.History{Unreachable: true, Since: since, Why: a.view().InTheWay()}
	}
	h, err := shared(a.frame, "history "+string(a.viewer.Role), func() (overview.History, error) { return w.changes(a) })
	if err != nil {
		return overview.History{Unreachable: true}
	}
	return h
}

func (w *Web) changes(a *asked) (h overview.History, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), historyLimit) // others wait for it as well
	defer cancel()
	n := changesShown
	incidents, err := w.Query.Incidents(ctx, nil, nil, nil, nil, nil, nil, &n, nil, nil, nil)
	if err != nil {
		return h, err
	}
	for _, edge := range incidents.Edges {
		events, err := edge.Node.Events(ctx)
		if err != nil {
			return h, err
		}
		for _, e := range events {
			h.Changes = append(h.Changes, overview.Change{At: e.At, State: eventState(e, edge.Node.Severity), Text: happened(e.Text), Href: "/incidents/" + edge.Node.Incident.ID})
		}
	}
	if a.operates() {
		recent := actsRead
		acts, err := w.Query.Audit(ctx, nil, nil, nil, nil, nil, &recent, nil, nil, nil)
		if err != nil {
			return h, err
		}
		titles := w.titles(ctx)
		for _, edge := range acts.Edges {
			if _, ofTheChain := chainVerbs[runbook.Verb(edge.Node.Verb)]; ofTheChain { // sign-ins and the like are none
				h.Changes = append(h.Changes, act(edge.Node, titles))
			}
		}
	}
	slices.SortStableFunc(h.Changes, func(a, b overview.Change) int { return b.At.Compare(a.At) })
	h.Changes = h.Changes[:min(len(h.Changes), n)]
	return h, nil
}

var chainVerbs = runbook.Verbs()

// eventState is how a transition looks.
func eventState(e noun.IncidentEvent, severity string) ui.State {
	switch to := e.IncidentEvent.ToState; {
	case to == "ok", to == "recovering":
		return ui.OK
	case to == "planned":
		return ui.Planned
	case severity == "critical":
		return ui.Critical
	case severity == "info":
		return ui.OK
	}
	return ui.Warning
}

// did is what an operator did, in words.
var did = map[runbook.Verb]string{runbook.Drain: "drained", runbook.Maint: "took out", runbook.Ready: "made ready", runbook.Pause: "paused", runbook.Resume: "resumed",
	runbook.Reconnect: "reconnected", runbook.Reload: "reloaded", runbook.Relinquish: "moved the VIP away from", runbook.Reclaim: "let hold the VIP again:",
	runbook.Cancel: "cancelled the query of", runbook.Terminate: "ended", runbook.Acknowledge: "acknowledged", runbook.Silence: "silenced", runbook.Unsilence: "ended the silence", runbook.Test: "tested"}

// act is a line of the audit as a change. Incidents are called by their titles.
func act(e noun.AuditEntry, title func(incident string) string) overview.Change {
	c := overview.Change{At: e.At, State: ui.Planned, Who: e.ActorName}
	subject := e.Subject
	if runbook.IsUUID(e.Subject) { // an incident: nobody knows it by its id
		subject, c.Href = "an incident", "/incidents/"+e.Subject
		if known := title(e.Subject); known != "" {
			subject = "“" + known + "”"
		}
	}
	c.Text = cmp.Or(did[runbook.Verb(e.Verb)], e.Verb) + " " + subject
	if e.ActorKind == string(runbook.System) && runbook.Verb(e.Verb) == runbook.Resume {
		c.Text = "the pause of " + subject + " ended by itself"
	}
	if e.Outcome != string(runbook.OK) {
		c.State, c.Text = ui.Warning, "tried to "+e.Verb+" "+subject+": "+e.Outcome
	}
	if e.Reason != "" {
		c.Text += ": " + e.Reason
	}
	return c
}

func (w *Web) poolers(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	m := pool.ListModel{View: a.view(), Operates: a.operates()}
	return made{title: "Poolers", section: layout.Poolers, content: pool.List(m), fragments: m.Fragments()}, nil
}

func (w *Web) pooler(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	name, t := a.PathValue("pooler"), w.trends(a)
	m := pool.Model{View: a.view(), Operates: a.operates(), Trends: pool.Trends{
		Clients: t.of(clientsTrend, name), Waiting: t.of(waitingTrend, name), Servers: t.of(serversTrend, name), Xacts: t.of(xactsTrend, name)}}
	var ok bool
	if m.Pooler, ok = pool.Find(m.View, name); !ok {
		return made{}, fault.Errorf(fault.NotFound, "There is no pooler %q.", name)
	}
	if m.Pooler.View.OK() || !m.Pooler.View.Asked() { // one that does not answer would not answer this either
		w.listed(a, &m)
	}
	return made{title: name, section: layout.Poolers, content: pool.Content(m), fragments: m.Fragments()}, nil
}

// listed adds what a pooler has to be asked for: its connections, and its settings, which the stream does not send.
func (w *Web) listed(a *asked, m *pool.Model) {
	if a.stream {
		m.Connections = w.connections.get(m.Pooler.Name, func() pool.Connections { return w.connected(a, m.Pooler.Name) })
		return
	}
	var both sync.WaitGroup
	both.Go(func() { m.Connections = w.connected(a, m.Pooler.Name) })
	both.Go(func() { m.Settings = w.settings(a, m.Pooler.Name) })
	both.Wait()
}

// connectionsShown are the clients and the server connections that a pooler's page lists, each.
const connectionsShown = 20

// connections are those that the streams' pages of poolers show, by pooler. To list thousands of clients keeps a
// pooler from its work: so not with every frame.
type connections struct {
	mu   sync.Mutex
	each map[string]*listed
}

type listed struct {
	mu   sync.Mutex
	at   time.Time
	list pool.Connections
}

func (c *connections) get(pooler string, list func() pool.Connections) pool.Connections {
	c.mu.Lock()
	if c.each == nil {
		c.each = map[string]*listed{}
	}
	if c.each[pooler] == nil {
		c.each[pooler] = &listed{}
	}
	l := c.each[pooler]
	c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) >= activityEvery {
		l.list, l.at = list(), time.Now()
	}
	return l.list
}

func (w *Web) connected(a *asked, pooler string) pool.Connections {
	ctx, cancel := a.limited()
	defer cancel()
	found, err := w.Query.PoolerConnections(ctx, pooler, connectionsShown)
	switch {
	case err != nil:
		return pool.Connections{Missing: ui.Missing{Why: fault.MessageOf(err)}}
	case found == nil:
		return pool.Connections{}
	}
	out := pool.Connections{At: found.At, ClientsTotal: found.ClientsTotal, ServersTotal: found.ServersTotal, MaxPrepared: found.MaxPreparedStatements, Unknown: found.Unknown}
	for _, c := range found.Clients {
		out.Clients = append(out.Clients, *poolClient(&c))
	}
	for _, s := range found.Servers {
		out.Servers = append(out.Servers, pool.Server{PID: s.PID, User: s.User, Database: s.Database, State: s.State, Since: or(s.ConnectedSince), LastRequest: or(s.LastRequest),
			Prepared: s.PreparedStatements, Client: poolClient(s.Client)})
	}
	return out
}

func poolClient(c *noun.PoolerClient) *pool.Client {
	if c == nil {
		return nil
	}
	return &pool.Client{Address: or(c.Address), Proxy: c.ProxyAddress, User: c.User, Database: c.Database, Application: c.Application, State: c.State, Wait: c.Wait,
		Since: or(c.ConnectedSince), LastRequest: or(c.LastRequest), PID: or(c.PID), Prepared: c.PreparedStatements}
}

// settings are those that a pooler says it runs with, or why they are not known.
func (w *Web) settings(a *asked, name string) (s pool.Settings) {
	if !a.operates() {
		return pool.Settings{Missing: ui.Missing{Role: string(runbook.Operator)}}
	}
	c, err := w.Query.Config(a.Context(), name)
	switch {
	case err != nil:
		s.Missing.Why = fault.MessageOf(err)
	case c == nil:
		s.Missing.Why = "It is not in the inventory."
	case c.RunningUnknown != nil:
		s.Missing.Why = *c.RunningUnknown
	default:
		for _, x := range c.Running {
			s.List = append(s.List, pool.Setting{Name: x.Key, Value: x.Value, Default: x.Default})
		}
	}
	return s
}

func (w *Web) haproxy(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	m := haproxy.Model{View: a.view(), Operates: a.operates()}
	if w.Stats != nil {
		m.Stats = w.Stats.String()
	}
	return made{title: "HAProxy", section: layout.HAProxy, content: haproxy.Content(m), fragments: m.Fragments()}, nil
}

// order is one order on its way: what the API is asked, and the page that confirms it.
type order struct {
	give    func(ctx context.Context, m Mutation, dryRun bool) (*noun.OrderPayload, error)
	confirm func(ui.Verdict) ui.Confirm
	content func(ui.Verdict) templ.Component // nil: the confirmation alone
	section layout.Section
	done    string // Drained pgb2.
	settles bool   // what it changes is polled: the page that follows waits for a reading of after it, not only for a frame
}

// verdict is what came of a dry run of what was entered.
func (a *asked) verdict(dry *noun.OrderPayload) ui.Verdict {
	v := ui.Verdict{Text: a.FormValue("reason"), Faults: faults(dry.UserErrors), Checked: a.clock.Now, Clock: a.clock}
	if dry.Preflight != nil {
		v.Effects, v.Refused = dry.Preflight.Effects(), dry.Preflight.Reasons()
	}
	return v
}

func poolerOrder(a *asked) (order, error) {
	verb, host := pool.Verb(a.PathValue("verb")), a.PathValue("pooler")
	database, reason := a.FormValue("database"), a.FormValue("reason")
	lasts := cmp.Or(a.FormValue("for"), "30")
	var pooler, of *string
	if host != "" {
		pooler = &host
	}
	if database != "" {
		of = &database
	}
	all := map[pool.Verb]func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error){
		pool.Pause: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			seconds, err := strconv.ParseFloat(lasts, 64)
			if err != nil || !(seconds >= 0 && seconds <= 1e6) {
				return &noun.OrderPayload{UserErrors: []noun.UserError{{Field: new("for"), Message: "Say for how many seconds."}}}, nil
			}
			return m.Pause(ctx, pooler, of, time.Duration(seconds*float64(time.Second)), reason, dry)
		},
		pool.Resume: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Resume(ctx, pooler, of, reason, dry)
		},
		pool.Reconnect: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Reconnect(ctx, pooler, of, reason, dry)
		},
		pool.Reload: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Reload(ctx, pooler, reason, dry)
		},
	}
	if host != "" {
		all[pool.Drain] = func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Drain(ctx, host, reason, dry)
		}
		all[pool.Maint] = func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Maint(ctx, host, reason, dry)
		}
		all[pool.Ready] = func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Ready(ctx, host, reason, dry)
		}
	}
	give, ok := all[verb]
	if !ok {
		return order{}, errNoPage
	}
	return order{give: give, section: layout.Poolers, settles: true, done: fmt.Sprintf("Done: %s %s", verb, cmp.Or(host, "every pooler")), confirm: func(v ui.Verdict) ui.Confirm {
		if verb == pool.Reload && len(v.Effects) > 0 {
			v.Effects = append(v.Effects, a.web.rereads(a, host)...)
		}
		return pool.Order{Verb: verb, Pooler: host, Database: database, For: lasts, Verdict: v}.Confirm()
	}}, nil
}

func nodeOrder(a *asked) (order, error) {
	verb, node, reason := haproxy.Verb(a.PathValue("verb")), a.PathValue("node"), a.FormValue("reason")
	give, ok := map[haproxy.Verb]func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error){
		haproxy.Relinquish: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Relinquish(ctx, node, reason, dry)
		},
		haproxy.Reclaim: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Reclaim(ctx, node, reason, dry)
		},
	}[verb]
	if !ok {
		return order{}, errNoPage
	}
	peer := a.web.Deps.Inventory.HAProxy.Peer(node).Name
	return order{give: give, section: layout.HAProxy, settles: true, done: "Done: " + verb.Done(node), confirm: func(v ui.Verdict) ui.Confirm {
		return haproxy.Order{Verb: verb, Node: node, Peer: peer, Verdict: v}.Confirm()
	}}, nil
}

// confirm is the page that asks before an order is given, from its dry run.
func (w *Web) confirm(a *asked, filled func(*asked) (order, error)) (made, error) {
	o, err := w.filled(a, filled)
	if err != nil {
		return made{}, err
	}
	if a.stream { // what the order would do stays as it was when the page was made
		return a.beside(made{}), nil
	}
	p, err := o.give(a.Context(), w.Mutation, true)
	if err != nil {
		return made{}, err
	}
	return a.beside(o.page(a.verdict(p), 0)), nil
}

// beside puts how the chain is above a page, and keeps it current: it may change while somebody types.
func (a *asked) beside(m made) made {
	now := layout.Fragment{ID: "now", Body: overview.Now(a.view())}
	m.fragments = []layout.Fragment{now}
	m.content = templ.Join(layout.Place(now), m.content)
	return m
}

func (w *Web) filled(a *asked, filled func(*asked) (order, error)) (order, error) {
	if err := a.needs(runbook.Operator); err != nil {
		return order{}, err
	}
	return filled(a)
}

func (o order) page(v ui.Verdict, status int) made {
	confirm := o.confirm(v)
	m := made{title: confirm.Title, section: o.section, content: ui.ConfirmForm(confirm), status: status}
	if o.content != nil {
		m.content = o.content(v)
	}
	return m
}

// order gives it, and leads back, or shows the page again with what was in the way.
func (w *Web) order(rw http.ResponseWriter, a *asked, filled func(*asked) (order, error)) error {
	o, err := w.filled(a, filled)
	if err != nil {
		return err
	}
	p, err := o.give(a.Context(), w.Mutation, false)
	if err != nil {
		return err
	}
	if p.Outcome != nil && p.Outcome.Result() != string(runbook.RefusedResult) { // what follows shows what was done
		var since time.Time // a frame of now: what was read for one before is not so any more
		if o.settles {
			since = time.Now()
		}
		w.live.settle(a.Context(), since)
		a.frame, a.clock.Now = w.live.now.Load(), time.Now()
	}
	if len(p.UserErrors) == 0 {
		n := &ui.Notice{State: ui.OK, Title: o.done}
		if p.Outcome != nil {
			n.Lines = p.Outcome.Detail()
		}
		w.send(rw, a, o.confirm(ui.Verdict{}).Cancel, n)
		return nil
	}
	dry, err := o.give(a.Context(), w.Mutation, true)
	if err != nil {
		return err
	}
	v := a.verdict(dry)
	v.Faults = faults(p.UserErrors)
	if p.Outcome != nil && p.Outcome.Result() == string(runbook.Failed) {
		v.Failed = p.Outcome.Detail()
	}
	status := http.StatusConflict
	if code := fault.Code(p.UserErrors[0].Code); code == fault.Invalid || code == "" {
		status = http.StatusUnprocessableEntity
	}
	w.show(rw, a, a.beside(o.page(v, status)))
	return nil
}
