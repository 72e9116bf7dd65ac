package pool_test

import (
	"strings"
	"testing"
	"time"

	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/pool"
	"weir/views/story"
	"weir/views/ui"
)

func model(c *chaintest.Chain, operates bool) pool.Model {
	v := c.View()
	p, _ := pool.Find(v, "pgb2")
	m := story.Pooler(v)
	m.Pooler, m.Operates = p, operates
	return m
}

func TestThePagesOfThePoolersAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for name, c := range map[string]*chaintest.Chain{"serves": chaintest.Healthy(), "down": chaintest.Healthy().Down("pgb2"),
		"paused": chaintest.Healthy().Pause(), "flapping": chaintest.Healthy().Flapping("pgb2"), "nothing": chaintest.Nothing()} {
		one, list := pool.Content(model(c, true)), pool.List(pool.ListModel{View: c.View(), Operates: true})
		golden.HTML(t, "one-"+name, one)
		golden.HTML(t, "list-"+name, list)
		golden.Plain(t, one)
		golden.Plain(t, list)
	}
}

func TestAReaderSeesNoOrders(t *testing.T) {
	for _, html := range []string{golden.Render(t, pool.Content(model(chaintest.Healthy(), false))),
		golden.Render(t, pool.List(pool.ListModel{View: chaintest.Healthy().View()}))} {
		if strings.Contains(html, "/drain") || strings.Contains(html, "/pause") {
			t.Error("a viewer is offered orders")
		}
	}
}

func TestWhatRestoresIsOfferedWhenItIsNeeded(t *testing.T) {
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		has, not string
	}{
		{"a pooler that serves can be drained", chaintest.Healthy(), "/poolers/pgb2/drain", "/poolers/pgb2/ready"},
		{"a drained one can be made ready", chaintest.Healthy().Drain("pgb2"), "/poolers/pgb2/ready", "/poolers/pgb2/drain"},
		{"one in maint can be made ready, and is out already", chaintest.Healthy().Says("pgb2", func(r *haproxy.Row) { r.State, r.Admin = haproxy.NotChecked, haproxy.Maint }), "/poolers/pgb2/ready", "/poolers/pgb2/maint"},
		{"one in maint on one node only can be taken out of both", chaintest.Healthy().Says("pgb2", func(r *haproxy.Row) { r.State, r.Admin = haproxy.NotChecked, haproxy.Maint }, "haproxy1"), "/poolers/pgb2/maint", "/poolers/pgb2/pausing"},
		{"a paused one can be resumed", chaintest.Healthy().Pause(), "/poolers/pgb2/resume", "/poolers/pgb2/pause"},
	} {
		html := golden.Render(t, pool.Content(model(row.chain, true)))
		if !strings.Contains(html, row.has+`"`) || strings.Contains(html, row.not+`"`) {
			t.Error(row.sentence)
		}
	}
}

func TestAPoolThatIsFullIsTheOneThatIsShown(t *testing.T) {
	c := chaintest.Healthy()
	v := &c.Snapshot.Poolers[1].View.Value
	v.Pools[1].SvActive = 69 // of the 70 of report, while app has 39 of its own 70
	v.Pools = append(v.Pools, pgbouncer.Pool{Database: "weir_auth", User: "weir_auth", SvActive: 2})
	v.Databases = append(v.Databases, pgbouncer.Database{Name: "weir_auth", PoolSize: 2})
	if u, ok := pool.Fullest(c.Snapshot.Poolers[1]); !ok || u.Name() != "app of report" || u.InUse != 69 || u.Size != 70 || u.Gauge().State() != ui.Warning {
		t.Errorf("%+v, %v", u, ok)
	}
	if _, ok := pool.Fullest(chaintest.Nothing().Snapshot.Poolers[1]); ok {
		t.Error("a pooler that nobody has read has a pool")
	}
}

func TestPgBouncersOwnConsoleIsNoDatabase(t *testing.T) {
	c := chaintest.Healthy()
	v := &c.Snapshot.Poolers[1].View.Value
	v.Databases = append(v.Databases, pgbouncer.Database{Name: "pgbouncer", Database: "pgbouncer"}, pgbouncer.Database{Name: "weir_auth", Database: "postgres", Host: "192.168.1.30"})
	html := golden.Render(t, pool.Content(model(c, true)))
	if strings.Contains(html, "pgbouncer at") || !strings.Contains(html, "clients cannot connect to it") {
		t.Error("the console is listed, or clients are told to connect to the look-ups")
	}
}

func TestWhatRestoresAllIsOfferedWhileSomethingIsPaused(t *testing.T) {
	some := chaintest.Healthy().Pause()
	some.Snapshot.Poolers[0].View.Value.State = pgbouncer.State{Active: true}
	for _, row := range []struct {
		sentence      string
		chain         *chaintest.Chain
		pause, resume bool
	}{
		{"nothing is paused", chaintest.Healthy(), true, false},
		{"all are paused", chaintest.Healthy().Pause(), false, true},
		{"some are paused", some, true, true},
	} {
		html := golden.Render(t, pool.List(pool.ListModel{View: row.chain.View(), Operates: true}))
		if strings.Contains(html, `"/pools/pause"`) != row.pause || strings.Contains(html, `"/pools/resume"`) != row.resume {
			t.Error(row.sentence)
		}
	}
}

func TestAPoolerThatFlapsSaysSoOnItsPage(t *testing.T) {
	html := golden.Render(t, pool.Content(model(chaintest.Healthy().Flapping("pgb2"), true)))
	if !strings.Contains(html, "flapping, came back 3 times") || strings.Contains(golden.Render(t, pool.Content(model(chaintest.Healthy(), true))), "Open incident") {
		t.Error("it does not, or one that does not flap has an incident")
	}
}

func TestAClientIsKnownByItsOwnAddressOrByItsHAProxy(t *testing.T) {
	m := model(chaintest.Healthy(), true)
	m.Connections.Clients = []pool.Client{{Address: "10.0.0.7:55555", Proxy: "192.168.1.10:40001", State: "waiting", Wait: 40 * time.Second},
		{Proxy: "192.168.1.11:40002", State: "active", PID: 4211}, {Proxy: "192.168.1.77:40003", State: "active"}}
	html := golden.Render(t, pool.Content(m))
	for _, want := range []string{">10.0.0.7:55555 <", "through haproxy1", "waiting 40.0 s", "address not known", "through haproxy2", "served by pid 4211", "192.168.1.77:40003", "idle"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestWithoutPreparedStatementsAPoolersPageWarns(t *testing.T) {
	m := model(chaintest.Healthy(), true)
	if html := golden.Render(t, pool.Content(m)); !strings.Contains(html, "at most 200 on each connection") {
		t.Error("the limit is not said")
	}
	m.Connections.MaxPrepared = 0
	if html := golden.Render(t, pool.Content(m)); !strings.Contains(html, "No prepared statements are kept") {
		t.Error("that there are none is not said")
	}
}

func TestEveryPoolerPausedIsAsDangerousAsItIs(t *testing.T) {
	for _, row := range []struct {
		order  pool.Order
		danger bool
	}{{pool.Order{Verb: pool.Pause}, true}, {pool.Order{Verb: pool.Pause, Pooler: "pgb1"}, false}, {pool.Order{Verb: pool.Maint, Pooler: "pgb1"}, true}, {pool.Order{Verb: pool.Reload}, false}} {
		if c := row.order.Confirm(); c.Danger != row.danger {
			t.Errorf("%s: %v", c.Title, c.Danger)
		}
	}
}

func TestEveryFragmentOfAPoolersPageHasItsPlace(t *testing.T) {
	m := model(chaintest.Healthy(), true)
	html := golden.Render(t, pool.Content(m))
	for _, f := range m.Fragments() {
		if strings.Count(html, `id="`+f.ID+`"`) != 1 {
			t.Errorf("#%s is missing, or doubled", f.ID)
		}
	}
}

func TestAConfirmationNamesThePoolerAndWhatWillHappen(t *testing.T) {
	for _, o := range []pool.Order{
		{Verb: pool.Drain, Pooler: "pgb2", Verdict: ui.Verdict{Effects: []string{"The 611 clients of pgb2 stay until they leave."}}},
		{Verb: pool.Pause, For: "60", Verdict: ui.Verdict{Text: "restart"}},
		{Verb: pool.Maint, Pooler: "pgb2", Verdict: ui.Verdict{Refused: []string{"No place is left."}}},
		{Verb: pool.Resume, Pooler: "pgb2", Database: "app", Verdict: ui.Verdict{Failed: []string{"pgb2: no answer within 2s"}}},
	} {
		form := ui.ConfirmForm(o.Confirm())
		golden.HTML(t, "confirm-"+string(o.Verb), form)
		golden.Plain(t, form)
	}
}

func TestThePageOfAPoolerSaysWhatIsWrongWithItAlsoWhereSomethingElseIsWorse(t *testing.T) {
	v := chaintest.Healthy().Down("pgb2").Before(time.Hour).NoPostgres().View()
	p, _ := pool.Find(v, "pgb2")
	if html := golden.Render(t, pool.Content(pool.Model{View: v, Pooler: p})); !strings.Contains(html, "<strong>pgb2 down</strong>") || !strings.Contains(html, "Open incident: ") {
		t.Error("it does not")
	}
}

func TestAPauseIsToldOnThePagesOfThePoolers(t *testing.T) {
	c := chaintest.Healthy().Pause()
	for where, html := range map[string]string{"all": golden.Render(t, pool.List(pool.ListModel{View: c.View()})), "one": golden.Render(t, pool.Content(model(c, false)))} {
		if !strings.Contains(html, "paused by ada@example.org: restart of PostgreSQL;") || !strings.Contains(html, "ends by itself in ") {
			t.Errorf("%s: %s", where, html)
		}
	}
}

func TestADrainIsNotAsOldAsThePooler(t *testing.T) {
	if html := golden.Render(t, pool.Content(model(chaintest.Healthy().Drain("pgb2"), false))); strings.Count(html, `UP since </span><time datetime="2026-11-23T08:00:00.000Z"`) != 2 {
		t.Error("it is")
	}
}

func TestAPoolThatDrawsOnItsReserveIsNotPastItsLimit(t *testing.T) {
	for inUse, want := range map[int64]int64{69: 70, 70: 70, 72: 73, 73: 73} {
		u := pool.Use{InUse: inUse, Size: 70, Reserve: 3}
		if g := u.Gauge(); g.Limit != want || g.Value != inUse {
			t.Errorf("%d of %d", g.Value, g.Limit)
		}
	}
	c := chaintest.Healthy()
	c.Snapshot.Poolers[1].View.Value.Pools[0].SvActive = 72
	if html := golden.Render(t, pool.List(pool.ListModel{View: c.View()})); !strings.Contains(html, "72 <span class=\"sub\"> of 73</span>") {
		t.Error("the list has it otherwise")
	}
}
