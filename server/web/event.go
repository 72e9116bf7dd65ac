package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/server/session"
	"weir/views/layout"
	"weir/views/ui"
)

const (
	beatEvery  = 5 * time.Second
	checkEvery = 2 * time.Second // whether the session is still one
	drawLimit  = 3 * time.Second
)

// events is the stream of one page: see views/layout for what it sends.
func (w *Web) events(rw http.ResponseWriter, r *http.Request) {
	a := w.ask(r)
	if err := a.needs(runbook.Viewer); err != nil {
		answerJSON(rw, statuses[fault.CodeOf(err)], map[string]string{"error": fault.MessageOf(err)})
		return
	}
	p, err := w.streamOf(r)
	if err != nil {
		w.Answer(rw, r, err)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // proxies hold nothing back
	rw.WriteHeader(http.StatusOK)
	w.follow(&listener{out: rw, flush: http.NewResponseController(rw)}, a, p)
}

// streamOf finds who makes the page that a stream is for.
func (w *Web) streamOf(r *http.Request) (*probe, error) {
	page, err := url.ParseRequestURI(r.URL.Query().Get("page"))
	if err != nil || page.Host != "" || !strings.HasPrefix(page.Path, "/") {
		return nil, fault.Field("page", "That is no page of this console.")
	}
	p := &probe{}
	inner := r.Clone(context.WithValue(r.Context(), probeKey{}, p))
	inner.Method, inner.URL, inner.RequestURI = http.MethodGet, page, page.RequestURI()
	w.streamed.ServeHTTP(discard{http.Header{}}, inner)
	if p.make == nil {
		return nil, errNoPage
	}
	p.request = p.request.WithContext(r.Context())
	return p, nil
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// listener writes events, until one cannot be written.
type listener struct {
	out   http.ResponseWriter
	flush *http.ResponseController
	err   error
}

func (l *listener) send(name string, data []byte) {
	if l.err == nil {
		_, l.err = l.out.Write(layout.Event(name, data))
	}
}

// follow sends what changes of a page, frame by frame, until the reader leaves or may look no longer.
func (w *Web) follow(l *listener, a *asked, p *probe) {
	ctx := a.Context()
	beat, check := time.NewTicker(beatEvery), time.NewTicker(checkEvery)
	defer beat.Stop()
	defer check.Stop()
	var changes layout.Changes
	f := a.frame
	a.frame = nil // each leads to the next: who holds on to the first holds all that were drawn since
	now := func() { l.send("beat", []byte(time.Now().UTC().Format(time.RFC3339Nano))) }
	now()
	for draw := true; l.err == nil; {
		if draw {
			if data := w.drawn(f, a, p, &changes); len(data) > 0 {
				l.send("", data)
			}
		}
		if l.err == nil {
			l.err = l.flush.Flush()
		}
		draw = false
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			now()
		case <-check.C:
			if err := w.Sessions.Check(ctx); fault.CodeOf(err) == fault.Unauthenticated {
				return
			}
			if now, err := session.ViewerOf(ctx); err == nil && now.Role != a.viewer.Role {
				l.send("reload", []byte("role"))
				l.flush.Flush()
				return
			}
		case <-f.next:
			for later := f.later.Load(); later != nil; later = f.later.Load() {
				f, draw = later, true
				if len(f.said) > 0 {
					l.send("say", []byte(strings.Join(f.said, " ")))
				}
			}
		}
	}
}

// drawn is what of a page differs from what was sent. A page that cannot be made now stays as it is.
func (w *Web) drawn(f *frame, by *asked, p *probe, changes *layout.Changes) []byte {
	key := "page " + string(by.viewer.Role) + " " + zone(p.request).String() + " " + p.request.URL.RequestURI()
	now, err := shared(f, key, func() ([]layout.Rendered, error) {
		// Another stream may wait for it that outlives this one.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(by.Context()), drawLimit)
		defer cancel()
		a := &asked{Request: p.request.WithContext(ctx), web: w, frame: f, viewer: by.viewer, stream: true, clock: ui.Clock{Now: f.at, Zone: zone(p.request)}}
		m, err := p.make(a)
		if err != nil {
			return nil, err
		}
		return layout.Render(ctx, append(m.fragments, a.now().Fragment()))
	})
	if err != nil {
		w.Deps.Log.DebugContext(by.Context(), "page of a stream was not made", "error", err)
		return nil
	}
	return changes.Next(now)
}
