package pool_test

import (
	"strings"
	"testing"

	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/pool"
	"weir/views/story"
	"weir/views/ui"
)

func model(c *chaintest.Chain, operates bool) pool.Model {
	v := c.View()
	p, _ := pool.Find(v, "pgb2")
	return pool.Model{View: v, Pooler: p, Trends: pool.Trends{Clients: story.Trends().Clients["pgb2"]}, Operates: operates,
		Settings: []pool.Setting{{Name: "max_client_conn", Value: "4000", Default: "100"}}}
}

func TestThePagesOfThePoolersAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for name, c := range map[string]*chaintest.Chain{"serves": chaintest.Healthy(), "down": chaintest.Healthy().Down("pgb2"),
		"paused": chaintest.Healthy().Pause(), "nothing": chaintest.Nothing()} {
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
		{"a paused one can be resumed", chaintest.Healthy().Pause(), "/poolers/pgb2/resume", "/poolers/pgb2/pause"},
	} {
		html := golden.Render(t, pool.Content(model(row.chain, true)))
		if !strings.Contains(html, row.has+`"`) || strings.Contains(html, row.not+`"`) {
			t.Error(row.sentence)
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
		{Verb: pool.Drain, Pooler: "pgb2", Effects: []string{"The 611 clients of pgb2 stay until they leave."}},
		{Verb: pool.Pause, For: "60", Reason: "restart"},
		{Verb: pool.Maint, Pooler: "pgb2", Refused: []string{"No place is left."}},
		{Verb: pool.Resume, Pooler: "pgb2", Database: "app", Failed: []string{"pgb2: no answer within 2s"}},
	} {
		form := ui.ConfirmForm(o.Confirm())
		golden.HTML(t, "confirm-"+string(o.Verb), form)
		golden.Plain(t, form)
	}
}
