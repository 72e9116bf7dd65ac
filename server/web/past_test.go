package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/queries"
	"weir/views/chain/chaintest"
	"weir/views/metric"
	"weir/views/ui"
)

// reads counts what a past reads; it answers when let, with err.
type reads struct {
	n   int
	let chan struct{}
	err error
}

func (r *reads) read(_ context.Context, of metric.Range) (metricSeries, error) {
	r.n++
	if r.let != nil {
		<-r.let
	}
	return metricSeries{metric.Clients: {{Subject: of.To.Format(time.TimeOnly)}}}, r.err
}

func until(to time.Time) metric.Range {
	return metric.Range{Name: "1h", From: to.Add(-time.Hour), To: to}
}

func TestAllWhoLookAtOneRangeShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p past
		r := reads{let: make(chan struct{})}
		var looks sync.WaitGroup
		for range 20 {
			looks.Go(func() {
				if _, got, err := p.over(t.Context(), "1h", until(noonToday), true, r.read); err != nil || got[metric.Clients][0].Subject != "12:00:00" {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(r.let)
		looks.Wait()
		if p.over(t.Context(), "1h", until(noonToday), false, r.read); r.n != 1 {
			t.Errorf("it was read %d times", r.n)
		}
	})
}

func TestAStreamDoesNotWaitForTheNextStepOfARange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p past
		var r reads
		p.over(t.Context(), "1h", until(noonToday), true, r.read)
		r.let = make(chan struct{})
		later := until(noonToday.Add(15 * time.Second))
		of, got, err := p.over(t.Context(), "1h", later, false, r.read)
		if err != nil || !of.To.Equal(noonToday) || got[metric.Clients][0].Subject != "12:00:00" {
			t.Errorf("meanwhile it is %v, %v, %v", of, got, err)
		}
		close(r.let)
		synctest.Wait()
		if of, got, _ := p.over(t.Context(), "1h", later, false, r.read); !of.To.Equal(later.To) || got[metric.Clients][0].Subject != "12:00:15" || r.n != 2 {
			t.Errorf("then it is %v, %v, after %d reads", of, got, r.n)
		}
	})
}

func TestAnOpenPageTriesAgainWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p past
		r := reads{err: errors.New("connection refused")}
		look := func() error {
			_, _, err := p.over(t.Context(), "1h", until(noonToday), false, r.read)
			synctest.Wait()
			return err
		}
		first, second := look(), look()
		if first == nil || second == nil || r.n != 1 {
			t.Errorf("two looks at once: %v, %v, %d reads", first, second, r.n)
		}
		r.err = nil
		time.Sleep(anewAfter) // of the test's clock
		if look(); look() != nil {
			t.Error("it stays broken")
		}
		r.err = errors.New("connection refused")
		if _, _, err := p.over(t.Context(), "1h", until(noonToday.Add(time.Minute)), true, r.read); err == nil {
			t.Error("who waits is not told")
		}
		if _, _, err := p.over(t.Context(), "1h", until(noonToday.Add(time.Minute)), true, r.read); err == nil || r.n != 4 {
			t.Errorf("who asks anew is told what was: %d reads", r.n)
		}
	})
}

var noonToday = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestEveryMoveOfTheVIPIsMarkedAlsoOneThereAndBack(t *testing.T) {
	event := func(ago time.Duration, kind, text string) noun.IncidentEvent {
		return noun.IncidentEvent{IncidentEvent: queries.IncidentEvent{At: noonToday.Add(-ago), Kind: kind, Text: text}}
	}
	n := noun.Incident{Incident: queries.Incident{ID: "01a20ad0-84db-747d-9581-4041f83bde51", Cause: "vip-moved"}}
	got := moves(n, []noun.IncidentEvent{
		event(2*time.Hour, "happened", "VIP moved from haproxy2 to haproxy1: happened"),
		event(time.Minute, "happened", "VIP moved from haproxy1 to haproxy2: happened"),
		event(50*time.Second, "noted", "VIP moved from haproxy1 to haproxy2: noted"),
		event(30*time.Second, "happened", "VIP moved from haproxy2 to haproxy1: happened"),
	}, until(noonToday))
	if len(got) != 2 || got[0].Text != "VIP moved from haproxy1 to haproxy2" || !got[1].At.Equal(noonToday.Add(-30*time.Second)) || got[0].Kind != metric.Move {
		t.Errorf("%+v", got)
	}
}

func TestAPageBlamesPostgreSQLOnlyWhereThatDoesNotAnswer(t *testing.T) {
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		want     ui.Missing
	}{
		{"PostgreSQL is down", chaintest.Healthy().NoPostgres(), ui.Missing{Away: true, Since: chaintest.Noon.Add(-13 * time.Second)}},
		{"the pools are paused", chaintest.Healthy().Pause(), ui.Missing{Away: true, Since: chaintest.Noon.Add(-13 * time.Second), Why: "the pools are paused"}},
		{"it was this one question", chaintest.Healthy(), ui.Missing{Away: true}},
	} {
		w := newSite(t, nil).Web
		w.Query, w.live = &asking{}, newLive(fleet.NewHub(row.chain.Snapshot), row.chain.Inventory)
		a := w.ask(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if got := a.missing(fault.Errorf(fault.Unavailable, "away")); got != row.want {
			t.Errorf("%s: %+v", row.sentence, got)
		}
		if since, away := a.away(); away {
			if h := w.history(a); h.Why != row.want.Why || !h.Since.Equal(since) {
				t.Errorf("%s: what changed: %+v", row.sentence, h)
			}
		}
	}
}
