package web

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/runbook"
	"weir/server/session"
	"weir/views/chain"
	"weir/views/layout"
	"weir/views/ui"
)

// asked is a request for a page, or for the stream of one.
type asked struct {
	*http.Request
	web    *Web
	frame  *frame
	viewer *session.Viewer // nil is nobody
	clock  ui.Clock
	stream bool // only its fragments are wanted
}

// made is a page, before it is put into its frame.
type made struct {
	title     string
	section   layout.Section
	content   templ.Component
	fragments []layout.Fragment // those that the stream keeps current; nil: the page is not live
	charts    bool
	gate      bool   // for those who are not signed in
	status    int    // 0 is 200
	to        string // the page has another address: nothing else is set
}

// maker makes one page: for a request of it, and for every frame of its stream.
type maker func(a *asked) (made, error)

// pages are the routes that people look at: one file each, page_NAME.go. They go through signed, which
// finds out who asks.
func (w *Web) pages(signed func(http.Handler) http.Handler) {
	w.live = newLive(w.Deps.Fleet, w.Deps.Inventory)
	w.streamed = http.NewServeMux()
	see := func(path string, make maker) {
		w.mux.Handle("GET "+path, signed(w.page(make)))
		w.streamed.Handle("GET "+path, w.page(make))
	}
	do := func(path string, h func(rw http.ResponseWriter, a *asked) error) {
		w.mux.Handle("POST "+path, signed(w.act(h)))
	}
	w.chainPages(see, do)
	w.signInPages(see, do)
	w.postgresPages(see, do)
	w.incidentPages(see, do)
	w.metricPages(see, signed)
	w.configPages(see)
	w.accountPages(see, do)
	w.adminPages(see, do, signed)
	w.storyPages(see)
	w.mux.Handle("GET /events", signed(w.streams.carry(http.HandlerFunc(w.events))))
	do("/preferences", w.preferences)
}

// Run draws the pages' frames until ctx ends.
func (w *Web) Run(ctx context.Context) { w.live.run(ctx) }

func (w *Web) ask(r *http.Request) *asked {
	a := &asked{Request: r, web: w, frame: w.live.now.Load()}
	if v, err := session.ViewerOf(r.Context()); err == nil {
		a.viewer = &v
	}
	// A page that is asked for is of now; a stream's is of its frame, so that all streams are alike.
	a.clock = ui.Clock{Now: time.Now(), Zone: zone(r)}
	return a
}

// zone is the one that the viewer's browser has told.
func zone(r *http.Request) *time.Location {
	if c, err := r.Cookie("tz"); err == nil {
		name, _ := url.QueryUnescape(c.Value)
		if z, err := time.LoadLocation(name); err == nil && name != "Local" {
			return z
		}
	}
	return time.UTC
}

// view is the chain as pages see it.
func (a *asked) view() chain.View {
	v := chain.View{Clock: a.clock, Snapshot: a.frame.snapshot, Inventory: a.web.Deps.Inventory, Findings: a.frame.findings, Open: a.frame.open}
	if slices.ContainsFunc(v.Snapshot.Poolers, func(p fleet.Pooler) bool { return len(p.View.Value.Paused()) > 0 }) {
		list, err := shared(a.frame, "pauses", a.pauses)
		v.Pauses, v.PausesUnread = list, err != nil
	}
	return v
}

// pausesLimit is how long a page waits for who paused what: PostgreSQL may be away, and its records with it.
const pausesLimit = 500 * time.Millisecond

// pauses are those that were ordered; one order to several poolers is several records.
func (a *asked) pauses() (out []chain.Pause, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), pausesLimit) // others wait for it as well
	defer cancel()
	list, err := a.web.Query.Pauses(ctx)
	for _, p := range a.web.ended.with(list, a.frame.at) {
		out = append(out, chain.Pause{Poolers: []string{p.Pooler}, Database: p.Database, By: p.By, Reason: p.Reason, Ends: p.Expires})
	}
	return out, err
}

// endedFor is how long the record of a pause counts after it is gone: the pooler looks paused until it is read
// again, and nobody is to be told that there is no record of it.
const endedFor = 3 * time.Second

// ended are the pauses whose records were read of late.
type ended struct {
	mu   sync.Mutex
	read map[runbook.Paused]time.Time
}

func (e *ended) with(list []runbook.Paused, now time.Time) []runbook.Paused {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.read == nil {
		e.read = map[runbook.Paused]time.Time{}
	}
	for _, p := range list {
		e.read[p] = now
	}
	out := slices.Clone(list)
	for p, at := range e.read {
		switch {
		case now.Sub(at) > endedFor:
			delete(e.read, p)
		case !slices.Contains(list, p):
			out = append(out, p) // behind those that are there: they come first
		}
	}
	return out
}

// now is how the chain is, for the head of every page.
func (a *asked) now() layout.Now {
	s := a.view().Sentence()
	return layout.Now{State: s.State, Word: s.Brief}
}

// needs is Unauthenticated or Forbidden, or nil when the role is enough.
func (a *asked) needs(role runbook.Role) error {
	if a.viewer == nil {
		return fault.Errorf(fault.Unauthenticated, "Sign in first.")
	}
	if !a.viewer.May(role) {
		return fault.Errorf(fault.Forbidden, "This needs the role %s; yours is %s.", role, a.viewer.Role)
	}
	return nil
}

func (a *asked) operates() bool { return a.needs(runbook.Operator) == nil }

// away is since when PostgreSQL is out of reach, as pages reach it: through the VIP; false when it is not.
func (a *asked) away() (since time.Time, is bool) {
	through := a.frame.snapshot.VIP.Through
	return through.Since, through.Asked() && !through.OK()
}

// missing is why a part of a page is not there; the zero Missing when err is nil.
func (a *asked) missing(err error) ui.Missing {
	switch fault.CodeOf(err) {
	case "":
		return ui.Missing{}
	case fault.Unavailable, fault.Timeout:
		m := ui.Missing{Away: true}
		if since, away := a.away(); away { // else it was this one question that was not answered
			m.Since, m.Why = since, a.view().InTheWay()
		}
		return m
	case fault.Forbidden:
		return ui.Missing{Role: string(runbook.Operator)}
	case fault.Internal:
		a.web.Deps.Log.ErrorContext(a.Context(), "part of a page cannot be made", "error", err)
		return ui.Missing{Why: "Something went wrong here. The log says what, under " + requestID(a.Context()) + "."}
	}
	return ui.Missing{Why: fault.MessageOf(err)}
}

// limited is a context for what a page asks for: a database that hangs must not hang the page.
func (a *asked) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.Context(), partLimit)
}

const partLimit = 3 * time.Second

// or is what is there, or the zero value.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// given is a pointer to what was given; nil to what is empty.
func given[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

type probeKey struct{}

// probe takes a page's maker from the table of routes, in place of the page.
type probe struct {
	make    maker
	request *http.Request
}

// page answers with a whole page.
func (w *Web) page(make maker) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(probeKey{}).(*probe); ok {
			p.make, p.request = make, r
			return
		}
		a := w.ask(r)
		m, err := make(a)
		if err != nil {
			w.Answer(rw, r, err)
			return
		}
		if m.to != "" {
			http.Redirect(rw, r, m.to, http.StatusSeeOther)
			return
		}
		w.show(rw, a, m)
	})
}

// act carries out what a form asks for. When it returns an error nothing was written.
func (w *Web) act(do func(rw http.ResponseWriter, a *asked) error) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			w.Answer(rw, r, fault.Wrap(fault.Invalid, err, "The form could not be read."))
			return
		}
		for _, values := range r.PostForm {
			for _, v := range values {
				if strings.ToValidUTF8(v, "") != v || strings.ContainsRune(v, 0) {
					w.Answer(rw, r, fault.Errorf(fault.Invalid, "The form holds bytes that are no text."))
					return
				}
			}
		}
		if err := do(rw, w.ask(r)); err != nil {
			w.Answer(rw, r, err)
		}
	})
}

// show writes a page in its frame.
func (w *Web) show(rw http.ResponseWriter, a *asked, m made) {
	p := layout.Page{Title: m.title, Section: m.section, Path: a.URL.RequestURI(), Live: m.fragments != nil, Charts: m.charts,
		Theme: theme(a.Request), Clock: a.clock, Cluster: w.Deps.Inventory.Cluster, Version: w.Version, Notice: takeNotice(rw, a.Request)}
	frame := layout.Gate
	if a.viewer != nil && !m.gate {
		p.Now = a.now()
		p.Viewer = &layout.Viewer{Name: cmp.Or(a.viewer.Person, a.viewer.Name), Email: a.viewer.Email, Role: layout.Role(a.viewer.Role)}
		frame = layout.Frame
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	templ.Handler(frame(p, m.content), templ.WithStatus(max(m.status, http.StatusOK)), templ.WithErrorHandler(func(r *http.Request, err error) http.Handler {
		plain := w.Errors
		plain.Page = nil // a page about it would fail in the same way, and so would the one about that
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { plain.Answer(rw, r, err) })
	})).ServeHTTP(rw, a.Request)
}

func theme(r *http.Request) layout.Theme {
	c, err := r.Cookie("theme")
	if err != nil {
		return layout.System
	}
	return layout.ParseTheme(c.Value)
}

// preferences sets the theme where there is no script.
func (w *Web) preferences(rw http.ResponseWriter, a *asked) error {
	http.SetCookie(rw, &http.Cookie{Name: "theme", Value: string(layout.ParseTheme(a.PostFormValue("theme"))), Path: "/", MaxAge: 365 * 24 * 3600,
		SameSite: http.SameSiteLaxMode, Secure: w.Public.Scheme == "https"})
	w.send(rw, a, local(a.PostFormValue("back")), nil)
	return nil
}

// local is a path of this server, or the first page.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

const noticeCookie = "weir-notice"

// send leads on to another page, which tells what came of this once.
func (w *Web) send(rw http.ResponseWriter, a *asked, to string, n *ui.Notice) {
	if n != nil {
		text, _ := json.Marshal(n) // strings: cannot fail
		if len(text) < 3000 {
			http.SetCookie(rw, &http.Cookie{Name: noticeCookie, Value: base64.RawURLEncoding.EncodeToString(text), Path: "/", MaxAge: 60,
				HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: w.Public.Scheme == "https"})
		}
	}
	http.Redirect(rw, a.Request, to, http.StatusSeeOther)
}

func takeNotice(rw http.ResponseWriter, r *http.Request) *ui.Notice {
	c, err := r.Cookie(noticeCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(rw, &http.Cookie{Name: noticeCookie, Path: "/", MaxAge: -1, HttpOnly: true})
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	var n ui.Notice
	if err != nil || json.Unmarshal(text, &n) != nil {
		return nil
	}
	return &n
}

// faults are what the API found wrong with what was entered.
func faults(list []noun.UserError) ui.Faults {
	var out ui.Faults
	for _, e := range list {
		f := ui.Fault{Message: e.Message}
		if e.Field != nil {
			f.Field = *e.Field
		}
		out = append(out, f)
	}
	return out
}

// errorPage is what a person sees of an error.
func (w *Web) errorPage(rw http.ResponseWriter, r *http.Request, status int, f failure) {
	a := w.ask(r)
	if f.Code == fault.Unauthenticated {
		to := "/sign-in"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(rw, r, to, http.StatusSeeOther)
		return
	}
	m := made{title: http.StatusText(status), status: status, content: ui.Failed("This page", f.Message)}
	switch f.Code {
	case fault.Forbidden:
		m.content = ui.Blank(ui.Planned, f.Message)
	case fault.NotFound:
		m.content = ui.Blank(ui.Unknown, f.Message)
	}
	m.content = ui.Titled(m.title, m.content)
	w.show(rw, a, m)
}
