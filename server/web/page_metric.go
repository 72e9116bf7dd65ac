package web

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"weir/graph/noun"
	"weir/ops/fault"
	ops "weir/ops/incident"
	"weir/ops/runbook"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/ui"
)

func (w *Web) metricPages(see seeing, signed func(http.Handler) http.Handler) {
	see(string(layout.Metrics), w.metricPage)
	w.mux.Handle("GET "+string(layout.Metrics)+"/csv", signed(http.HandlerFunc(w.metricCSV)))
}

const (
	// metricLimit is for two dozen series of a month.
	metricLimit   = 10 * time.Second
	metricsAtOnce = 4
	marksShown    = 100
)

func (w *Web) metricPage(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	ctx, cancel := context.WithTimeout(a.Context(), metricLimit)
	defer cancel()
	q := a.URL.Query()
	m := metric.Model{Clock: a.clock, From: q.Get("from"), To: q.Get("to")}
	m.Range, m.Faults = metric.ParseRange(q, a.clock)
	if m.Faults == nil {
		m.From, m.To = "", ""
	}
	var err error
	if m.Range, m.Series, err = w.past.over(ctx, m.Range.Name, m.Range, !a.stream, w.numbers); err == nil {
		m.Marks, err = w.marks(ctx, a, m.Range)
	}
	m.Missing = a.missing(err)
	return made{title: "Metrics", section: layout.Metrics, content: metric.Content(m), fragments: m.Fragments(), charts: true}, nil
}

// numbers are all that the page draws.
func (w *Web) numbers(ctx context.Context, r metric.Range) (metricSeries, error) {
	return w.series(ctx, metric.Metrics(), r)
}

type metricSeries = map[metric.Metric][]metric.Series

// past keeps the numbers of ranges that end now: all who look share them, and each range is read
// once a step of it, however many do.
type past struct {
	mu   sync.Mutex
	held map[string]heldSeries // by what the range is called
	busy singleflight.Group
}

type heldSeries struct {
	of     metric.Range
	at     time.Time // when it was read
	series metricSeries
	err    error
}

const (
	anewAfter = 2 * time.Second  // what failed is tried again for a page that is open
	heldFor   = 10 * time.Minute // what nobody reads anew is let go
)

// over is the history over a range, which name stands for whatever its ends; "" is a range that is not
// kept. Who does not wait gets what was read last, which may be a step older,
// and what is being read now with a later call: a stream must not stand still for a month's numbers.
func (h *past) over(ctx context.Context, name string, r metric.Range, wait bool, read func(context.Context, metric.Range) (metricSeries, error)) (metric.Range, metricSeries, error) {
	if name == "" {
		series, err := read(ctx, r)
		return r, series, err
	}
	h.mu.Lock()
	have := h.held[name]
	h.mu.Unlock()
	if have.of.To.Equal(r.To) && (have.err == nil || !wait && time.Since(have.at) < anewAfter) {
		return have.of, have.series, have.err
	}
	coming := h.busy.DoChan(name+r.To.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), metricLimit) // others may wait for it that outlive this one
		defer cancel()
		series, err := read(ctx, r)
		h.mu.Lock()
		defer h.mu.Unlock()
		maps.DeleteFunc(h.held, func(_ string, s heldSeries) bool { return time.Since(s.at) > heldFor })
		if h.held == nil {
			h.held = map[string]heldSeries{}
		}
		if !h.held[name].of.To.After(r.To) {
			h.held[name] = heldSeries{r, time.Now(), series, err}
		}
		return series, err
	})
	if !wait && !have.at.IsZero() {
		return have.of, have.series, have.err
	}
	select {
	case done := <-coming:
		return r, done.Val.(metricSeries), done.Err
	case <-ctx.Done():
		return r, nil, ctx.Err()
	}
}

// series are the history of numbers, a few asked for at once.
func (w *Web) series(ctx context.Context, of []metric.Metric, r metric.Range) (metricSeries, error) {
	out := make(metricSeries, len(of))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(metricsAtOnce)
	for _, m := range of {
		group.Go(func() error {
			list, err := w.Query.Samples(ctx, string(m), nil, r.From, r.To, metric.Points)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[m] = metric.Dressed(m, seriesOf(list), w.Deps.Inventory)
			return nil
		})
	}
	return out, group.Wait()
}

func seriesOf(list []noun.Series) []metric.Series {
	out := make([]metric.Series, len(list))
	for i, s := range list {
		out[i].Subject = s.Subject
		for _, p := range s.Points {
			out[i].Points = append(out[i].Points, metric.Point{At: p.At, Min: p.Min, Mean: p.Avg, Most: p.Max})
		}
	}
	return out
}

// marks are what happened in a range: incidents, moves of the VIP, and for operators what operators did.
func (w *Web) marks(ctx context.Context, a *asked, r metric.Range) ([]metric.Mark, error) {
	size, open := marksShown, true
	began, err := w.Query.Incidents(ctx, nil, nil, nil, nil, &r.From, &r.To, &size, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	still, err := w.Query.Incidents(ctx, &open, nil, nil, nil, nil, &r.From, &size, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	var out []metric.Mark
	for _, e := range slices.Concat(began.Edges, still.Edges) {
		if !strings.HasPrefix(e.Node.Cause, string(ops.VIPMoved)) {
			out = append(out, incidentMark(e.Node))
			continue
		}
		events, err := e.Node.Events(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, moves(e.Node, events, r)...)
	}
	if !a.operates() {
		return out, nil
	}
	acts, err := w.Query.Audit(ctx, nil, nil, nil, &r.From, &r.To, &size, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	titles := w.titles(ctx)
	for _, e := range acts.Edges {
		if _, ofTheChain := chainVerbs[runbook.Verb(e.Node.Verb)]; ofTheChain {
			c := act(e.Node, titles)
			out = append(out, metric.Mark{Kind: metric.Act, At: c.At, State: c.State, Text: c.Text, Who: c.Who})
		}
	}
	return out, nil
}

func incidentMark(n noun.Incident) metric.Mark {
	i := incidentOf(n.Incident)
	was := i
	was.ResolvedAt, was.State = time.Time{}, ops.Firing
	m := metric.Mark{Kind: metric.Incident, At: i.OpenedAt, Until: i.ResolvedAt, Open: i.Open(), State: was.Look(), Text: i.Title, Href: i.URL()}
	if m.State == ui.Unknown {
		m.State = ui.Planned
	}
	return m
}

// moves are the times at which the VIP moved: there and back soon after is one incident.
func moves(n noun.Incident, events []noun.IncidentEvent, r metric.Range) (out []metric.Mark) {
	for _, e := range events {
		if ops.Change(e.Kind) == ops.Happened && !e.At.Before(r.From) && e.At.Before(r.To) {
			out = append(out, metric.Mark{Kind: metric.Move, At: e.At, State: ui.Planned, Text: happened(e.Text), Href: incidentOf(n.Incident).URL()})
		}
	}
	return out
}

// happened is the sentence about what was over at once, without the monitor's word for that.
func happened(text string) string { return strings.TrimSuffix(text, ": "+string(ops.Happened)) }

func (w *Web) metricCSV(rw http.ResponseWriter, r *http.Request) {
	a := w.ask(r)
	if err := a.needs(runbook.Viewer); err != nil {
		w.Answer(rw, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), metricLimit)
	defer cancel()
	stretch, wrong := metric.ParseRange(r.URL.Query(), a.clock)
	if len(wrong) > 0 {
		w.Answer(rw, r, fault.Field(wrong[0].Field, "%s", wrong[0].Message))
		return
	}
	series, err := w.series(ctx, metric.Metrics(), stretch)
	if err != nil {
		w.Answer(rw, r, err)
		return
	}
	var out bytes.Buffer // an answer that fails half-way would look whole
	if err := metric.WriteCSV(&out, metric.Metrics(), series); err != nil {
		w.Answer(rw, r, err)
		return
	}
	sendCSV(rw, "weir-"+stretch.From.UTC().Format("20060102T1504")+"-"+stretch.To.UTC().Format("20060102T1504"), out.Bytes())
}

func sendCSV(rw http.ResponseWriter, name string, body []byte) {
	rw.Header().Set("Content-Type", "text/csv; charset=utf-8")
	rw.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	rw.Write(body)
}
