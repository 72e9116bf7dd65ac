package overview_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/layout"
	"weir/views/overview"
	"weir/views/story"
	"weir/views/ui"
)

func model(v chain.View) overview.Model {
	return overview.Model{View: v, Trends: story.Trends(), History: story.History(), Operates: true}
}

func page(v chain.View) layout.Page {
	return layout.Page{Title: "Overview", Section: layout.Overview, Path: "/", Live: true, Clock: v.Clock, Version: "test",
		Viewer: &layout.Viewer{Name: "Ada Lovelace", Email: "ada@example.org", Role: layout.Operator}}
}

var chains = map[string]func() *chaintest.Chain{
	"serves":   chaintest.Healthy,
	"down":     func() *chaintest.Chain { return chaintest.Healthy().Down("pgb2") },
	"disputed": func() *chaintest.Chain { return chaintest.Healthy().Dispute("pgb2") },
	"drained":  func() *chaintest.Chain { return chaintest.Healthy().Drain("pgb2") },
	"paused":   func() *chaintest.Chain { return chaintest.Healthy().Pause() },
	"postgres": func() *chaintest.Chain { return chaintest.Healthy().NoPostgres() },
	"blocked":  func() *chaintest.Chain { return chaintest.Healthy().Blocked(3) },
	"both":     func() *chaintest.Chain { return chaintest.Healthy().Down("pgb2").Before(time.Hour).NoPostgres() },
	"gone":     func() *chaintest.Chain { return chaintest.Healthy().NodeGone() },
	"twice":    func() *chaintest.Chain { return chaintest.Healthy().TwoHolders() },
	"flapping": func() *chaintest.Chain { return chaintest.Healthy().Flapping("pgb2") },
	"nobody":   func() *chaintest.Chain { return chaintest.Healthy().NoHolder() },
	"deaf":     func() *chaintest.Chain { return chaintest.Healthy().Deaf() },
	"nothing":  chaintest.Nothing,
}

func TestTheOverviewIsDrawnAsItWasLookedAt(t *testing.T) {
	for name, make := range chains {
		t.Run(name, func(t *testing.T) {
			content := overview.Content(model(make().View()))
			golden.HTML(t, name, content)
			golden.Plain(t, content)
		})
	}
}

func TestTheWholePageStaysBelow60KB(t *testing.T) {
	for name, make := range chains {
		v := make().View()
		html := golden.Render(t, layout.Frame(page(v), overview.Content(model(v))))
		if len(html) > 60<<10 || len(html) < 10<<10 {
			t.Errorf("%s: %d bytes", name, len(html))
		}
		golden.Plain(t, layout.Frame(page(v), overview.Content(model(v))))
	}
}

// What a person reads first, for every way the chain can be.
func TestTheSentence(t *testing.T) {
	for name, want := range map[string]string{
		"serves":   "ok: Everything serves",
		"down":     "warning: pgb2 down",
		"disputed": "warning: HAProxies disagree about pgb2",
		"drained":  "planned: Everything serves, with planned work: pgb2 in drain",
		"paused":   "planned: Planned work: Pools paused",
		"postgres": "critical: PostgreSQL down",
		"blocked":  "ok: Everything serves",
		"both":     "critical: PostgreSQL down",
		"gone":     "warning: haproxy2 unreachable",
		"twice":    "critical: VIP held by haproxy1 and haproxy2",
		"flapping": "warning: Everything serves now, but “pgb2 down” is flapping",
		"nobody":   "critical: VIP held by nobody",
		"deaf":     "stale: This is not current",
		"nothing":  "unknown: Nothing is known yet",
	} {
		s := chains[name]().View().Sentence()
		if got := string(s.State) + ": " + s.Word; got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

// Whoever is called at night for the one must not find out about the other in the morning.
func TestASecondFaultIsNamedAndLinkedBesideTheFirst(t *testing.T) {
	v := chains["both"]().View()
	for where, html := range map[string]string{"the overview": golden.Render(t, overview.Sentence(v)), "a page that asks before an order": golden.Render(t, overview.Now(v))} {
		if !strings.Contains(html, "and 1 more:") || !strings.Contains(html, "pgb2 down") {
			t.Errorf("%s: %s", where, html)
		}
	}
	if html := golden.Render(t, overview.Sentence(v)); !strings.Contains(html, `<a href="/incidents/`+v.Open[0].ID) || !strings.Contains(html, "1 h 0 min") {
		t.Errorf("it leads nowhere: %s", html)
	}
}

func TestEveryFragmentHasItsPlaceInThePage(t *testing.T) {
	m := model(chaintest.Healthy().View())
	html := golden.Render(t, overview.Content(m))
	for _, f := range m.Fragments() {
		if strings.Count(html, `id="`+f.ID+`"`) != 1 {
			t.Errorf("#%s stands in the page %d times", f.ID, strings.Count(html, `id="`+f.ID+`"`))
		}
	}
}

func TestAnUpdateSendsOnlyWhatChanged(t *testing.T) {
	var c layout.Changes
	send := func(v chain.View) string {
		list, err := layout.Render(t.Context(), model(v).Fragments())
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Next(list))
	}
	if all := send(chaintest.Healthy().View()); strings.Count(all, "<hx-partial") != len(model(chaintest.Healthy().View()).Fragments()) {
		t.Error("the first update lacks fragments")
	}
	if again := send(chaintest.Healthy().View()); again != "" {
		t.Errorf("nothing changed, and this is sent: %s", again)
	}
	// A second later nothing else has changed: what is current has no age that counts on.
	later := chaintest.Healthy().View()
	later.Clock.Now = later.Clock.Now.Add(time.Second)
	later.Snapshot.At = later.Snapshot.At.Add(time.Second)
	if again := send(later); strings.Contains(again, `#pooler-pgb1"`) {
		t.Errorf("a second alone sends a pooler again: %s", again)
	}
	down := send(chaintest.Healthy().Down("pgb2").View())
	for part, want := range map[string]bool{"#pooler-pgb2": true, "#sentence": true, "#wires": true, "#pooler-pgb1": false, "#pooler-pgb2-trend": false, "#changes": false} {
		if strings.Contains(down, part+`"`) != want {
			t.Errorf("%s is sent: %v", part, !want)
		}
	}
}

func TestTheOverviewOfAReader(t *testing.T) {
	v := chaintest.Healthy().View()
	html := golden.Render(t, layout.Frame(page(v), overview.Content(model(v))))
	for _, part := range []string{`<html lang="en"`, `class="skip" href="#main"`, `<main id="main"`, `aria-current="page">Overview`, `aria-live="polite"`, `hx-sse:connect="/events?page=%2F"`} {
		if !strings.Contains(html, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	reader := page(v)
	reader.Viewer = &layout.Viewer{Role: layout.SeesOnly}
	if strings.Contains(golden.Render(t, layout.Frame(reader, overview.Content(model(v)))), "Administration") {
		t.Error("a viewer is led to what is not theirs")
	}
}

// BenchmarkOverview is the whole page; the target is 10 ms at the 99th percentile.
func BenchmarkOverview(b *testing.B) {
	v := chaintest.Healthy().Down("pgb2").View()
	m, p := model(v), page(v)
	var size int
	for b.Loop() {
		var out bytes.Buffer
		if err := layout.Frame(p, overview.Content(m)).Render(b.Context(), &out); err != nil {
			b.Fatal(err)
		}
		size = out.Len()
	}
	b.ReportMetric(float64(size), "bytes/page")
}

// BenchmarkUpdate is what a snapshot costs, once for all streams that are alike.
func BenchmarkUpdate(b *testing.B) {
	m := model(chaintest.Healthy().View())
	for b.Loop() {
		list, err := layout.Render(b.Context(), m.Fragments())
		if err != nil {
			b.Fatal(err)
		}
		var c layout.Changes
		io.Discard.Write(c.Next(list))
	}
}

func TestThatNobodyWouldHearOfItIsSaid(t *testing.T) {
	m := model(chaintest.Healthy().View())
	if html := golden.Render(t, overview.Content(m)); strings.Contains(html, "Nobody is told") {
		t.Error("somebody is told")
	}
	m.Told = &ui.Notice{State: ui.Warning, Title: "Nobody is told when something breaks: no channel is set up."}
	content := overview.Content(m)
	golden.Plain(t, content)
	if html := golden.Render(t, content); !strings.Contains(html, m.Told.Title) || !strings.Contains(html, `href="/admin/notifications"`) {
		t.Error("it is not said")
	}
}

// Whoever looks at the drawing alone must see where it is cut.
func TestNoLineLooksAliveUpstreamOfABreak(t *testing.T) {
	for name, want := range map[string]struct{ flow, broken int }{
		"serves": {1 + 3 + 3, 0}, "down": {1 + 2 + 2, 2 + 1}, "postgres": {0, 3}, "nobody": {3, 2},
	} {
		html := golden.Render(t, overview.Content(model(chains[name]().View())))
		flow, broken := strings.Count(html, `<line class="flow"`), strings.Count(html, `<line class="broken"`)
		if flow != want.flow || broken != want.broken {
			t.Errorf("%s: %d lines flow and %d are broken, not %d and %d", name, flow, broken, want.flow, want.broken)
		}
	}
}

func TestAPauseSaysWhoOrderedItWhyAndWhenItEnds(t *testing.T) {
	c := chaintest.Healthy().Pause()
	html := golden.Render(t, overview.Sentence(c.View()))
	for _, want := range []string{"<strong>pgb1, pgb2 and pgb3</strong>", "paused by ada@example.org: restart of PostgreSQL;", "ends by itself in ", `data-age="until">1 min 20 s</time>`, "(at 12:01:20 UTC)"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing: %s", want, html)
		}
	}
	c.Pauses[0].Ends = chaintest.Noon.Add(-time.Second)
	if html := golden.Render(t, overview.Sentence(c.View())); !strings.Contains(html, "its time was over at 11:59:59 UTC") {
		t.Errorf("when its time is over: %s", html)
	}
	c.Pauses = nil
	if html := golden.Render(t, overview.Sentence(c.View())); !strings.Contains(html, "nobody left a record of it") {
		t.Errorf("without a record: %s", html)
	}
}

func TestBlockedSessionsLeadToWhoBlocksThem(t *testing.T) {
	html := golden.Render(t, overview.Content(model(chaintest.Healthy().Blocked(3).View())))
	if !strings.Contains(html, `<a href="/postgres#blocking-title">3 blocked</a>`) {
		t.Error("they do not")
	}
	if strings.Contains(golden.Render(t, overview.Content(model(chaintest.Healthy().View()))), "blocked") {
		t.Error("nobody is blocked, and somebody is led there")
	}
}

// Sessions tell the statistics late: beside the poolers' numbers of the last second this one trails.
func TestTransactionsOfPostgreSQLSayOverHowLongTheyAreCounted(t *testing.T) {
	if html := golden.Render(t, overview.Content(model(chaintest.Healthy().Blocked(0).View()))); !strings.Contains(html, "<dt>tps over 10 s</dt><dd>1,412 </dd>") {
		t.Error("they do not")
	}
}
