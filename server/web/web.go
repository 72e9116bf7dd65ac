// Package web is the server's outside: its routes, what every request passes before them, and how
// errors are answered. What the routes do is done elsewhere: the API in graph, accounts in session.
package web

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/graph/gen"
	"weir/ops/fault"
	"weir/ops/inventory"
	"weir/server/session"
	"weir/views/asset"
	"weir/views/postgres"
)

// Deps is what the routes work with.
type Deps struct {
	API       http.Handler // graph.Graph's
	Query     Query        // the same, for pages: they reach what others reach
	Mutation  Mutation
	Who       gen.ViewerResolver // whoever asks: their account and sessions
	Fleet     Fleet              // the live state
	Inventory *inventory.Inventory
	Sessions  *session.Manager
	Health    *Health
	Ready     func() Readiness
	Monitor   string       // http://host:port of the monitor's /healthz
	Client    *http.Client // that asks it; nil is http.DefaultClient
	Public    *url.URL     // where people find the console
	Origins   []string     // scheme://host[:port] from which browsers may use /graphql, besides Public's
	Stats     *url.URL     // HAProxy's statistics page; nil: not known to be reachable for people
	Version   string
	Metrics   *prometheus.Registry
	Log       *slog.Logger
}

// Web is all routes. It may be used by several goroutines.
type Web struct {
	Deps
	Errors
	mux     *http.ServeMux
	streams *streams
	seen    requests

	live   *live
	past   past
	alarm  alarm
	around struct { // what the streams' lists of sessions are made of
		sync.Mutex
		at       time.Time
		activity postgres.Activity
	}
	connections connections
	ended       ended
	streamed    *http.ServeMux // the pages that have a stream
}

// Query and Mutation are the API's own methods.
type (
	Query    = gen.QueryResolver
	Mutation = gen.MutationResolver
)

// New makes the routes.
func New(d Deps) (*Web, error) {
	w := &Web{Deps: d, Errors: Errors{Log: d.Log}, mux: http.NewServeMux(), streams: newStreams(), seen: newRequests(d.Metrics)}
	w.Errors.Page = w.errorPage
	w.Client = cmp.Or(d.Client, http.DefaultClient)
	w.routes()
	return w, nil
}

// routes lists every one. Who asks is found out for those only that need to know: a check of a
// machine must not wait for the table of sessions.
func (w *Web) routes() {
	w.mux.HandleFunc("GET /healthz", w.healthz)
	w.mux.HandleFunc("GET /readyz", w.readyz)
	w.mux.HandleFunc("GET /api/health/db", w.healthDB)
	w.mux.Handle("GET /metrics", w.metrics())
	w.mux.HandleFunc("GET "+asset.Prefix, w.assets)

	signed := w.Sessions.Handler
	w.mux.Handle("/graphql", w.cors(signed(w.streams.carry(w.API))))
	people := func(next http.Handler) http.Handler { return signed(w.unpinned(next)) }
	w.mux.Handle("GET /graphql/explorer", people(http.HandlerFunc(w.explorer)))
	w.pages(people)
	w.mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { w.Answer(rw, r, errNoPage) })
}

// unpinned keeps a token that is pinned to fields of the API off the pages, which are made of others.
func (w *Web) unpinned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if v, err := session.ViewerOf(r.Context()); err == nil && v.Operations != nil {
			w.Answer(rw, r, fault.Errorf(fault.Forbidden, "This token is for %s at /graphql, and for no page.", strings.Join(v.Operations, ", ")))
			return
		}
		next.ServeHTTP(rw, r)
	})
}

// Handler is all of it. From the outside in: an id and a line in the log for each request, also for
// one that panics; headers for the browser; nothing that another site's page sent; then the routes.
func (w *Web) Handler() http.Handler {
	return w.logged(w.guarded(w.crossOrigin(w.mux)))
}

// EndStreams ends what would not end by itself: event streams and WebSockets. Later ones end at once.
func (w *Web) EndStreams() { w.streams.end() }

// Wait returns when the last stream has ended, or with ctx's error. WebSockets are connections that
// http.Server does not know any more.
func (w *Web) Wait(ctx context.Context) error { return w.streams.wait(ctx) }

// InvitationURL is where a one-time link leads.
func InvitationURL(public *url.URL, token string) string {
	return public.JoinPath("invitation", token).String()
}
