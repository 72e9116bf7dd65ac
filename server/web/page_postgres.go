package web

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/views/layout"
	"weir/views/postgres"
	"weir/views/ui"
)

func (w *Web) postgresPages(see seeing, do doing) {
	see("/postgres", w.postgres)
	w.orders(see, do, "/postgres/backends/{pid}/{verb}", backendOrder)
}

// topAsked is more than is listed, as DDL is left out.
const topAsked = 100

func (w *Web) postgres(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	t, q := w.trends(a), a.URL.Query()
	m := postgres.Model{View: a.view(), Operates: a.operates(), Show: postgres.ParseShow(q.Get("show")), Activity: w.activity(a),
		Top:    postgres.Top{By: postgres.ParseOrder(q.Get("by")), All: q.Get("statements") == postgres.AllStatements},
		Trends: postgres.Trends{Connections: t.of(connectionsTrend, ""), Xacts: t.of(serverXactsTrend, ""), LongestXact: t.of(longestTrend, ""), Blocked: t.of(blockedTrend, "")}}
	if !a.stream { // it is no part of what the stream sends
		m.Top = w.topQueries(a, m.Top)
	}
	return made{title: "PostgreSQL", section: layout.Postgres, content: postgres.Content(m), fragments: m.Fragments()}, nil
}

// activityEvery is how often the streams' list of sessions is made anew: it asks every pooler and HAProxy.
const activityEvery = 3 * time.Second

// activity is who does what. Streams share one that is a few seconds old.
func (w *Web) activity(a *asked) postgres.Activity {
	if !a.stream {
		return w.lookAround(a)
	}
	w.around.Lock()
	defer w.around.Unlock()
	if time.Since(w.around.at) >= activityEvery {
		w.around.activity, w.around.at = w.lookAround(a), time.Now()
	}
	return w.around.activity
}

func (w *Web) lookAround(a *asked) postgres.Activity {
	ctx, cancel := a.limited()
	defer cancel()
	found, err := w.Query.Activity(ctx)
	if err != nil {
		return postgres.Activity{Missing: a.missing(err)}
	}
	out := postgres.Activity{At: found.At, Unknown: found.Unknown}
	for _, b := range found.Backends {
		out.Backends = append(out.Backends, backend(b))
	}
	return out
}

func backend(b noun.Backend) postgres.Backend {
	out := postgres.Backend{PID: b.PID, Started: b.Started, User: b.User, Database: b.Database, Application: b.Application, State: postgres.State(b.State),
		StateSince: or(b.StateSince), XactSince: or(b.XactSince), QuerySince: or(b.QuerySince), BlockedBy: b.BlockedBy, Query: b.Query, Address: or(b.Address)}
	if b.WaitType != nil || b.Wait != nil {
		out.Wait = strings.Trim(or(b.WaitType)+": "+or(b.Wait), ": ")
	}
	if c := b.Client; c != nil {
		out.Client = &postgres.Client{Pooler: c.Pooler, User: c.User, Application: c.Application, Since: or(c.ConnectedSince), ProxyAddress: c.ProxyAddress, Address: or(c.Address)}
	}
	return out
}

func (w *Web) topQueries(a *asked, top postgres.Top) postgres.Top {
	ctx, cancel := a.limited()
	defer cancel()
	list, err := w.Query.TopQueries(ctx, string(top.By), topAsked)
	top.Missing, top.Whole = a.missing(err), len(list) < topAsked
	for _, q := range list {
		top.Queries = append(top.Queries, postgres.Query{ID: q.QueryID, User: q.User, Database: q.Database, Text: q.Query, Calls: q.Calls, Rows: q.Rows,
			Total: q.TotalTime, Mean: q.MeanTime, Longest: q.MaxTime, BlocksHit: q.BlocksHit, BlocksRead: q.BlocksRead})
	}
	return top
}

func backendOrder(a *asked) (order, error) {
	pid, err := strconv.Atoi(a.PathValue("pid"))
	verb := postgres.Verb(a.PathValue("verb"))
	if err != nil || verb != postgres.Cancel && verb != postgres.Terminate {
		return order{}, errNoPage
	}
	act := postgres.Act{Verb: verb, Backend: postgres.Backend{PID: pid}}
	var started *time.Time
	if t, err := time.Parse(time.RFC3339Nano, a.FormValue("started")); err == nil {
		started, act.Backend.Started = &t, t
	}
	for _, b := range a.web.lookAround(a).Backends {
		if b.PID == pid && (started == nil || b.Started.Equal(*started)) {
			act.Backend, act.Way = b, postgres.Model{View: a.view()}.Way(b)
		}
	}
	reason := a.FormValue("reason")
	judged := func(v ui.Verdict) postgres.Act {
		act := act
		act.Verdict = v
		return act
	}
	return order{section: layout.Postgres, done: cmp.Or(map[postgres.Verb]string{postgres.Cancel: "Cancelled the query of pid "}[verb], "Ended pid ") + strconv.Itoa(pid),
		give: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			if verb == postgres.Cancel {
				return m.CancelBackend(ctx, pid, started, reason, dry)
			}
			return m.TerminateBackend(ctx, pid, started, reason, dry)
		},
		confirm: func(v ui.Verdict) ui.Confirm { return judged(v).Confirm() },
		content: func(v ui.Verdict) templ.Component { return postgres.Confirmation(judged(v)) },
	}, nil
}
