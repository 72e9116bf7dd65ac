package chain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/ui"
)

func TestAPoolerInOneWord(t *testing.T) {
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		want     chain.Mark
	}{
		{"all is well", chaintest.Healthy(), chain.Mark{State: ui.OK, Word: "serves"}},
		{"it refuses", chaintest.Healthy().Down("pgb2"), chain.Mark{State: ui.Critical, Word: "down"}},
		{"an operator drained it", chaintest.Healthy().Drain("pgb2"), chain.Mark{State: ui.Planned, Word: "drained"}},
		{"it is in maint", chaintest.Healthy().Says("pgb2", func(r *haproxy.Row) { r.State, r.Admin = haproxy.NotChecked, haproxy.Maint }),
			chain.Mark{State: ui.Planned, Word: "in maint"}},
		{"one HAProxy of two says DOWN", chaintest.Healthy().Dispute("pgb2"), chain.Mark{State: ui.Warning, Word: "disputed"}},
		{"a check failed once", chaintest.Healthy().Says("pgb2", func(r *haproxy.Row) { r.State, r.Health = haproxy.UpGoingDown, haproxy.Health{Passed: 1, Of: 2} }),
			chain.Mark{State: ui.Warning, Word: "UP 1/2"}},
		{"it is paused", chaintest.Healthy().Pause(), chain.Mark{State: ui.Planned, Word: "paused"}},
		{"PostgreSQL behind it is down", chaintest.Healthy().NoPostgres(), chain.Mark{State: ui.Warning, Word: "up, no server"}},
		{"it serves now, and was down three times", chaintest.Healthy().Flapping("pgb2"), chain.Mark{State: ui.Warning, Word: "serves, flapping"}},
		{"another one flaps", chaintest.Healthy().Flapping("pgb1"), chain.Mark{State: ui.OK, Word: "serves"}},
		{"nothing was ever heard", chaintest.Nothing(), chain.Mark{State: ui.Unknown, Word: "unknown"}},
		{"the other HAProxy is gone, and what it last said does not count", chaintest.Healthy().NodeGone(), chain.Mark{State: ui.OK, Word: "serves"}},
	} {
		v := row.chain.View()
		if got := v.Pooler(v.Snapshot.Poolers[1]); got != row.want {
			t.Errorf("%s: %v, not %v", row.sentence, got, row.want)
		}
	}
}

func TestWhatANodeLastSaidIsStaleWhenItIsNotHeard(t *testing.T) {
	o := chaintest.Healthy().NodeGone().View().Opinions("pgb1")
	if o[0].State != ui.OK || o[1].State != ui.Stale || o[1].Current || o[1].Word != "UP" {
		t.Errorf("%+v", o)
	}
	if chain.Disputed(o) {
		t.Error("a node that is not heard disputes something")
	}
}

func TestTheHolderIsEvidence(t *testing.T) {
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		want     chain.Mark
	}{
		{"one node has it", chaintest.Healthy(), chain.Mark{State: ui.OK, Word: "on haproxy1"}},
		{"two nodes have it", chaintest.Healthy().TwoHolders(), chain.Mark{State: ui.Critical, Word: "on haproxy1 and haproxy2"}},
		{"nobody was heard", chaintest.Nothing(), chain.Mark{State: ui.Unknown, Word: "holder not known"}},
	} {
		if got, _ := row.chain.View().VIP(); got != row.want {
			t.Errorf("%s: %v, not %v", row.sentence, got, row.want)
		}
	}
}

func TestASentenceSaysThatTheHolderIsNotKnown(t *testing.T) {
	c := chaintest.Healthy()
	c.Snapshot.Nodes[0].State.Value.VIP = false // while it moves: the VIP answers, and no node says that it has it
	if s := c.View().Sentence(); !strings.Contains(s.Impact, "serve, who holds the VIP is not known, a query through it took") {
		t.Errorf("%s: %s", s.Word, s.Impact)
	}
}

func TestAnOldSnapshotIsNotCurrent(t *testing.T) {
	v := chaintest.Healthy().View()
	v.Clock.Now = v.Clock.Now.Add(time.Minute)
	if s := v.Sentence(); s.State != ui.Stale || s.Since != v.Snapshot.At {
		t.Errorf("%+v", s)
	}
}

// A pause is forgotten only after a while: until an incident says so it is planned work.
func TestAFindingThatNeedsTimeIsNotCertainAtOnce(t *testing.T) {
	c := chaintest.Healthy().Pause()
	if s := c.View().Sentence(); s.State != ui.Planned {
		t.Errorf("%+v", s)
	}
	open := c.Open[0]
	open.Cause = "pause-forgotten"
	c.Open = append(c.Open, open)
	if s := c.View().Sentence(); s.State != ui.Critical {
		t.Errorf("%+v", s)
	}
}

func TestPostgreSQLDownIsOneThingAndNotFour(t *testing.T) {
	if s := chaintest.Healthy().NoPostgres().View().Sentence(); s.Word != "PostgreSQL down" || len(s.Others) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEveryFaultThatIsNoSymptomIsNamed(t *testing.T) {
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		word     string
		others   []string
		brief    string
	}{
		{"a pooler that went away with PostgreSQL is a symptom", chaintest.Healthy().Down("pgb2").NoPostgres(), "PostgreSQL down", nil, "PostgreSQL down"},
		{"one that was down before is a fault of its own", chaintest.Healthy().Down("pgb2").Before(time.Hour).NoPostgres(), "PostgreSQL down", []string{"pgb2 down"}, "PostgreSQL down, 1 more"},
		{"also while PostgreSQL has no incident yet", withoutLast(chaintest.Healthy().Down("pgb2").Before(time.Hour).NoPostgres()), "PostgreSQL down", []string{"pgb2 down"}, "PostgreSQL down, 1 more"},
		{"two that are down stand beside each other", chaintest.Healthy().Down("pgb2").NodeGone(), "pgb2 down", []string{"haproxy2 unreachable"}, "pgb2 down, 1 more"},
		{"one that flaps is up just now, and is not over", chaintest.Healthy().Flapping("pgb1").Down("pgb2"), "pgb2 down", []string{"“pgb1 down” is flapping"}, "pgb2 down, 1 more"},
		{"one that flaps beside planned work", chaintest.Healthy().Flapping("pgb1").Drain("pgb2"), "Everything serves, with planned work: pgb2 in drain", []string{"“pgb1 down” is flapping"}, "pgb2 in drain"},
		{"a drain beside a fault is named, and is none", chaintest.Healthy().Drain("pgb1").Down("pgb2"), "pgb2 down", []string{"pgb1 in drain"}, "pgb2 down"},
		{"a pause that nobody ended has begun as a pause", forgotten(chaintest.Healthy().Pause().Before(3 * time.Minute)), "Pause that nobody ended", nil, "Pause that nobody ended"},
		{"a monitor that is blind does not forget what was open", chaintest.Healthy().Down("pgb2").Blind(), "Monitor blind", []string{"“pgb2 down” was open before"}, "Monitor blind, 1 more"},
	} {
		s := row.chain.View().Sentence()
		var others []string
		for _, o := range s.Others {
			others = append(others, o.Word)
			if o.Href == "" {
				t.Errorf("%s: no link to %s", row.sentence, o.Word)
			}
		}
		if s.Word != row.word || !slices.Equal(others, row.others) || s.Brief != row.brief {
			t.Errorf("%s: %q (%q), and %q", row.sentence, s.Word, s.Brief, others)
		}
	}
}

func withoutLast(c *chaintest.Chain) *chaintest.Chain {
	c.Open = c.Open[:len(c.Open)-1]
	return c
}

func forgotten(c *chaintest.Chain) *chaintest.Chain {
	late := c.Open[0]
	late.Cause, late.OpenedAt = "pause-forgotten", chaintest.Noon
	c.Open = append(c.Open, late)
	return c
}

// Between two falls nothing is found, and whoever was woken must not go back to bed.
func TestWhatFlapsIsNotOverBetweenTwoFalls(t *testing.T) {
	c := chaintest.Healthy().Flapping("pgb2")
	s := c.View().Sentence()
	if s.State != ui.Warning || s.Word != "Everything serves now, but “pgb2 down” is flapping" || s.Brief != "pgb2 down, flapping" || s.Incident != c.Open[0].ID {
		t.Errorf("%+v", s)
	}
	c.Open[0].State = incident.Recovering
	if s := c.View().Sentence(); s.State != ui.OK || s.Word != "Everything serves again" || len(s.Others) != 1 || s.Others[0].Href != "/incidents/"+c.Open[0].ID {
		t.Errorf("just ended: %+v", s)
	}
	c.Open[0].Planned = true
	if s := c.View().Sentence(); s.Word != "Everything serves" {
		t.Errorf("planned work that has ended: %+v", s)
	}
	c = chaintest.Healthy().Flapping("pgb2").Down("pgb2")
	if s := c.View().Sentence(); s.Word != "pgb2 down" || len(s.Others) != 0 {
		t.Errorf("it is down again: %+v", s)
	}
}

func TestEverySentenceHasAShortForm(t *testing.T) {
	for _, c := range []*chaintest.Chain{chaintest.Healthy(), chaintest.Healthy().Down("pgb2"), chaintest.Healthy().Drain("pgb2"), chaintest.Healthy().Pause(), chaintest.Healthy().NoPostgres(),
		chaintest.Healthy().TwoHolders(), chaintest.Healthy().NoHolder(), chaintest.Healthy().Deaf(), chaintest.Nothing(), chaintest.Healthy().Flapping("pgb1")} {
		if s := c.View().Sentence(); s.Brief == "" || len(s.Brief) > 40 {
			t.Errorf("%q is %q in short", s.Word, s.Brief)
		}
	}
}

func TestWhoPausedWhatIsToldOncePerOrder(t *testing.T) {
	ends := chaintest.Noon.Add(80 * time.Second)
	each := func(by string, poolers ...string) (out []chain.Pause) {
		for _, p := range poolers {
			out = append(out, chain.Pause{Poolers: []string{p}, By: by, Reason: "restart", Ends: ends})
		}
		return out
	}
	for _, row := range []struct {
		sentence string
		records  []chain.Pause
		unread   bool
		pooler   string
		want     []string
	}{
		{"one order to all", each("ada", "pgb1", "pgb2", "pgb3"), false, "", []string{"pgb1, pgb2 and pgb3 by ada"}},
		{"two orders", append(each("ada", "pgb1"), each("bob", "pgb2", "pgb3")...), false, "", []string{"pgb1 by ada", "pgb2 and pgb3 by bob"}},
		{"of one pooler", append(each("ada", "pgb1"), each("bob", "pgb2", "pgb3")...), false, "pgb3", []string{"pgb3 by bob"}},
		{"a record of a database is none of the whole", []chain.Pause{{Poolers: []string{"pgb3"}, Database: "app", By: "ada", Ends: ends}}, false, "pgb3", []string{"pgb3 by "}},
		{"without a record nobody ordered it here", each("ada", "pgb1", "pgb2"), false, "", []string{"pgb1 and pgb2 by ada", "pgb3 by "}},
		{"unless the records could not be read", nil, true, "", nil},
	} {
		c := chaintest.Healthy().Pause()
		c.Pauses = row.records
		v := c.View()
		v.PausesUnread = row.unread
		var got []string
		for _, p := range v.Paused(row.pooler) {
			got = append(got, p.Who()+" by "+p.By)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %q", row.sentence, got)
		}
	}
	c := chaintest.Healthy()
	c.Pauses = each("ada", "pgb1")
	if list := c.View().Paused(""); len(list) > 0 {
		t.Errorf("a record of what is not paused any more: %v", list)
	}
}

func TestPostgreSQLIsNotBlamedForWhatIsInTheWayToIt(t *testing.T) {
	all := chaintest.Healthy().Silent().Down("pgb1").Down("pgb2").Down("pgb3")
	for _, row := range []struct {
		sentence string
		chain    *chaintest.Chain
		want     string
	}{
		{"nothing is", chaintest.Healthy(), ""},
		{"PostgreSQL itself does not answer", chaintest.Healthy().NoPostgres(), ""},
		{"the pools are paused", chaintest.Healthy().Pause(), "the pools are paused"},
		{"every pooler is down", all, "no pooler serves"},
		{"nobody holds the VIP", chaintest.Healthy().NoHolder(), "no node holds it"},
		{"a query just fails", chaintest.Healthy().Silent(), "no query gets through it"},
	} {
		if got := row.chain.View().InTheWay(); got != row.want {
			t.Errorf("%s: %q", row.sentence, got)
		}
	}
}
