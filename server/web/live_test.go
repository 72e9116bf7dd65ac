package web

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"weir/graph/noun"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/runbook"
	"weir/server/session"
	"weir/views/chain/chaintest"
	"weir/views/metric"
	"weir/views/ui"
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

// asking all parts, as their polls do, leaves a snapshot in which each was asked at a moment.
func askAll(hub *fleet.Hub, at time.Time, paused bool) {
	for _, n := range []string{"haproxy1", "haproxy2"} {
		hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.NodeStateKind, Name: n}, At: at, Value: haproxy.NodeState{Node: n}})
		hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.NodeStatsKind, Name: n}, At: at, Value: haproxy.Stats{Node: n}})
	}
	for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
		hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.PoolerKind, Name: p}, At: at, Value: fleet.PoolerView{State: pgbouncer.State{Paused: paused}}})
	}
}

func TestAConsoleThatHasJustStartedKnowsSinceWhenWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chaintest.Healthy().Down("pgb2")
		hub := fleet.NewHub(c.Snapshot)
		l := newLive(hub, c.Inventory)
		began := time.Now()
		opened := map[string]time.Time{"pooler-down/pgb2": began.Add(-time.Hour), "postgres-down": began.Add(-time.Hour)}
		look := func() incident.Incident {
			now := time.Now()
			found, _ := l.judge(c.Snapshot, now)
			l.draw(c.Snapshot, now, found, nil)
			if open := l.now.Load().open; len(open) == 1 {
				return open[0]
			}
			return incident.Incident{}
		}
		if i := look(); i.Cause != "pooler-down/pgb2" || !i.Since.Equal(began) {
			t.Fatalf("before it has read the rows: %+v", i)
		}
		l.learn(opened)
		if i := look(); !i.Since.Equal(opened[i.Cause]) || !i.OpenedAt.Equal(opened[i.Cause]) {
			t.Errorf("open since %s", i.Since)
		}
		// What begins later is another outage, whatever the rows said then.
		l.book = incident.Book{}
		time.Sleep(time.Minute)
		if i := look(); !i.Since.Equal(time.Now()) {
			t.Errorf("a later one is open since %s", i.Since)
		}
	})
}

func TestWhoGaveAnOrderSeesAFrameOfAfterIt(t *testing.T) {
	for _, row := range []struct {
		sentence string
		answer   time.Duration // when the parts are asked again, after the order
		settled  bool
		at       time.Duration // how long it takes, at most
	}{
		{"as soon as all were asked after it", 300 * time.Millisecond, true, 500 * time.Millisecond},
		{"however late they are asked", 950 * time.Millisecond, true, 1200 * time.Millisecond},
		{"and no longer than a second and a half", time.Hour, false, settleLimit},
	} {
		synctest.Test(t, func(t *testing.T) {
			inv := inventory.Default()
			hub := fleet.NewHub(fleet.First(inv))
			l := newLive(hub, inv)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go l.run(ctx)
			time.Sleep(1300 * time.Millisecond) // a frame has just been drawn
			askAll(hub, time.Now(), false)
			ordered := time.Now().Add(time.Nanosecond)
			time.AfterFunc(row.answer, func() { askAll(hub, time.Now(), true) })
			l.settle(ctx, ordered)
			if took := time.Since(ordered); took > row.at {
				t.Errorf("%s: it took %s", row.sentence, took)
			}
			if got := l.now.Load().snapshot.Poolers[2].View.Value.State.Paused; got != row.settled {
				t.Errorf("%s: the frame has what was ordered: %v", row.sentence, got)
			}
		})
	}
}

// drains is an API that carries a drain out, after which all parts are read anew.
type drains struct {
	Mutation
	hub *fleet.Hub
}

func (d drains) Drain(_ context.Context, _, _ string, dry bool) (*noun.OrderPayload, error) {
	if !dry {
		time.AfterFunc(50*time.Millisecond, func() { askAll(d.hub, time.Now().Add(time.Minute), true) })
	}
	return &noun.OrderPayload{Outcome: &noun.Outcome{Outcome: runbook.Outcome{Result: runbook.OK}}}, nil
}

func TestThePageAfterAnOrderIsOfAfterTheOrder(t *testing.T) {
	s := newSite(t, nil)
	hub := fleet.NewHub(fleet.First(s.Web.Deps.Inventory))
	s.Web.Mutation, s.Web.live = drains{hub: hub}, newLive(hub, s.Web.Deps.Inventory)
	go s.Web.live.run(t.Context())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/poolers/pgb2/drain", nil)
	r.SetPathValue("pooler", "pgb2")
	r.SetPathValue("verb", "drain")
	a := s.Web.ask(r)
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Operator}}
	out := httptest.NewRecorder()
	if err := s.Web.order(out, a, poolerOrder); err != nil || out.Code != http.StatusSeeOther {
		t.Fatalf("%v, %d", err, out.Code)
	}
	if !s.Web.live.now.Load().snapshot.Poolers[1].View.Value.State.Paused {
		t.Error("the page that follows is drawn from a reading of before")
	}
}

func TestWhatIsOnlyWrittenDownIsInTheNextFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := inventory.Default()
		hub := fleet.NewHub(fleet.First(inv))
		l := newLive(hub, inv)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		time.Sleep(1300 * time.Millisecond) // a frame has just been drawn
		askAll(hub, time.Now(), false)
		before, began := l.now.Load(), time.Now()
		l.settle(ctx, time.Time{})
		if took := time.Since(began); l.now.Load() == before || took > 2*frameLeast {
			t.Errorf("the same frame: %v, after %s", l.now.Load() == before, took)
		}
	})
}

// rowOnly is an order that changes rows only.
func rowOnly(*asked) (order, error) {
	return order{give: func(context.Context, Mutation, bool) (*noun.OrderPayload, error) {
		return &noun.OrderPayload{Outcome: &noun.Outcome{Outcome: runbook.Outcome{Result: runbook.OK}}}, nil
	}, confirm: func(ui.Verdict) ui.Confirm { return ui.Confirm{Cancel: "/incidents"} }}, nil
}

func TestThePageAfterAnAcknowledgementIsNoFrameOfBefore(t *testing.T) {
	s := newSite(t, nil)
	hub := fleet.NewHub(fleet.First(s.Web.Deps.Inventory))
	s.Web.live = newLive(hub, s.Web.Deps.Inventory)
	go s.Web.live.run(t.Context())
	a := s.Web.ask(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/incidents/1/acknowledge", nil))
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Operator}}
	askAll(hub, time.Now(), false)
	before := a.frame
	if err := s.Web.order(httptest.NewRecorder(), a, rowOnly); err != nil || s.Web.live.now.Load() == before {
		t.Errorf("%v, or what was read for the frame of before is shown", err)
	}
}
