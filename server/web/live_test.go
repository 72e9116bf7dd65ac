package web

import (
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"weir/ops/fleet"
	"weir/ops/runbook"
	"weir/server/session"
	"weir/views/chain/chaintest"
	"weir/views/metric"
)

func TestATrendBeginsWithWhatTheMonitorSampled(t *testing.T) {
	var tr trends
	now := chaintest.Noon
	tr.keep(chaintest.Healthy().Snapshot, now)
	if s := tr.of(clientsTrend, "pgb1"); !math.IsNaN(s[trendPoints-2]) || math.IsNaN(s[trendPoints-1]) {
		t.Errorf("before the samples are read: %v", s[trendPoints-3:])
	}
	tr.take(metricSeries{
		metric.Clients:     {{Subject: "pgb1", Points: []metric.Point{{At: now.Add(-20 * time.Second), Mean: 7}, {At: now, Mean: 8}, {At: now.Add(-time.Hour), Mean: 9}}}},
		metric.Connections: {{Subject: "postgres", Points: []metric.Point{{At: now.Add(-10 * time.Second), Mean: 55}}}}})
	s := tr.of(clientsTrend, "pgb1")
	if s[trendPoints-3] != 7 || !math.IsNaN(s[trendPoints-2]) || s[trendPoints-1] == 8 || s.Known() && s[0] == 9 {
		t.Errorf("with them: %v", s[trendPoints-3:])
	}
	if s := tr.of(connectionsTrend, ""); s[trendPoints-2] != 55 {
		t.Errorf("what has no host: %v", s[trendPoints-3:])
	}
	tr.keep(&fleet.Snapshot{}, now.Add(trendEvery))
	if s := tr.of(clientsTrend, "pgb1"); s[trendPoints-4] != 7 {
		t.Errorf("ten seconds later: %v", s[trendPoints-4:])
	}
}

func TestSamplesAreReadOnceAndAgainWhileTheyCannotBe(t *testing.T) {
	var tr trends
	now := chaintest.Noon
	if !tr.wants(now) || tr.wants(now.Add(time.Second)) || !tr.wants(now.Add(fillAgain)) {
		t.Error("they are not asked for again after a while")
	}
	tr.take(metricSeries{})
	if tr.wants(now.Add(time.Hour)) {
		t.Error("they are read twice")
	}
}

func TestAnOpenStreamKeepsOnlyTheFrameThatItShows(t *testing.T) {
	c := chaintest.Healthy()
	d := newSite(t, nil).Web.Deps
	d.Fleet, d.Inventory, d.Query, d.Metrics = fleet.NewHub(c.Snapshot), c.Inventory, full{}, prometheus.NewRegistry()
	w, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events?page=%2F", nil)
	p, err := w.streamOf(r)
	if err != nil {
		t.Fatal(err)
	}
	a := w.ask(r)
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Administrator}}
	out := &sayings{ResponseRecorder: httptest.NewRecorder(), heard: make(chan struct{}, 100)}
	go w.follow(&listener{out: out, flush: http.NewResponseController(out)}, a, p)
	<-out.heard // it follows
	a = nil
	var frames []weak.Pointer[frame]
	for range 20 {
		w.live.draw(c.Snapshot, time.Now(), nil, []string{"something"})
		frames = append(frames, weak.Make(w.live.now.Load()))
		<-out.heard // this frame was sent
	}
	runtime.GC()
	runtime.GC()
	alive := 0
	for _, f := range frames {
		if f.Value() != nil {
			alive++
		}
	}
	if alive > 2 { // the newest, and the one before while it is left
		t.Errorf("%d of %d frames are kept", alive, len(frames))
	}
}

// sayings tells of every flush.
type sayings struct {
	*httptest.ResponseRecorder
	heard chan struct{}
}

func (s *sayings) FlushError() error {
	s.heard <- struct{}{}
	return nil
}
