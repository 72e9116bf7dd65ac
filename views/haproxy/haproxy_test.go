package haproxy_test

import (
	"strings"
	"testing"
	"time"

	ops "weir/ops/haproxy"
	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/haproxy"
	"weir/views/ui"
)

func TestThePageOfTheNodesIsDrawnAsItWasLookedAt(t *testing.T) {
	for name, c := range map[string]*chaintest.Chain{"serves": chaintest.Healthy(), "disputed": chaintest.Healthy().Dispute("pgb2"),
		"gone": chaintest.Healthy().NodeGone(), "nothing": chaintest.Nothing()} {
		content := haproxy.Content(haproxy.Model{View: c.View(), Operates: true})
		golden.HTML(t, name, content)
		golden.Plain(t, content)
	}
}

func TestOnlyWhatOughtToBeAlikeIsMarked(t *testing.T) {
	differ := func(c *chaintest.Chain) int {
		return strings.Count(golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()})), "they differ")
	}
	if n := differ(chaintest.Healthy()); n != 0 {
		t.Errorf("MASTER and BACKUP, or other numbers of clients, are marked: %d", n)
	}
	if n := differ(chaintest.Healthy().Dispute("pgb2")); n != 2 { // its state, and the check
		t.Errorf("a dispute is marked in %d places", n)
	}
	if n := differ(chaintest.Healthy().NodeGone()); n != 0 {
		t.Errorf("a node that is not heard differs in %d places", n)
	}
}

func TestTheVIPIsMovedFromWhereItIs(t *testing.T) {
	html := golden.Render(t, haproxy.Content(haproxy.Model{View: chaintest.Healthy().View(), Operates: true}))
	if !strings.Contains(html, `"/haproxy/haproxy1/relinquish"`) || strings.Contains(html, `"/haproxy/haproxy2/relinquish"`) {
		t.Error("the move is offered at the wrong node")
	}
	form := ui.ConfirmForm(haproxy.Order{Verb: haproxy.Relinquish, Node: "haproxy1", Peer: "haproxy2", Verdict: ui.Verdict{Effects: []string{"The 1834 clients of haproxy1 are disconnected and connect again through haproxy2."}}}.Confirm())
	golden.HTML(t, "confirm", form)
	golden.Plain(t, form)
}

func TestAnOrderThatWasCarriedOutIsCalledAsItsButtonWas(t *testing.T) {
	for verb, want := range map[haproxy.Verb]string{haproxy.Relinquish: "the VIP has left haproxy1", haproxy.Reclaim: "haproxy1 is released"} {
		if got := verb.Done("haproxy1"); got != want {
			t.Errorf("%s: %q", verb, got)
		}
	}
}

func TestWhatTwoProcessesOfANodeSawIsOneTime(t *testing.T) {
	c := chaintest.Healthy().Says("pgb2", func(r *ops.Row) { r.CheckDowns, r.Downs = 12, []int64{6, 6} })
	html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()}))
	if strings.Contains(html, "12 times") || !strings.Contains(html, "6 times") {
		t.Error("each process counts for itself")
	}
}

func TestTheOutcomeOfACheckIsSaidInWords(t *testing.T) {
	for _, row := range []struct{ code, said, want string }{
		{"L7OK", "(tcp-check)", "passed, 2.0 ms (L7OK)"},
		{"L4CON", " at step 1 of tcp-check (connect)", "no connection (L4CON)"},
		{"L4TOUT", "", "no answer (L4TOUT)"},
		{"L7TOUT", " at step 3 of tcp-check (expect binary '5A00000005')", "accepted, then silent (L7TOUT)"},
		{"* L7TOUT", "", "accepted, then silent (L7TOUT)"},
		{"* L7OK", "PgBouncer 1.24.1", "passed, 2.0 ms (L7OK)"},
		{"L7RSP", "said no at step 3 of tcp-check", "wrong answer: said no (L7RSP)"},
		{"NEWCODE", "what nobody foresaw", "NEWCODE: what nobody foresaw"},
		{"", "", "not checked"},
	} {
		if got := haproxy.Check(row.code, row.said, 2*time.Millisecond); got != row.want {
			t.Errorf("%s %q: %q, not %q", row.code, row.said, got, row.want)
		}
	}
}

func TestHowLongACheckTookIsNoDifference(t *testing.T) {
	c := chaintest.Healthy().Says("pgb2", func(r *ops.Row) { r.CheckDuration = 9 * time.Millisecond }, "haproxy2")
	if html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()})); strings.Contains(html, "they differ") {
		t.Error("two nodes that took 2 ms and 9 ms differ")
	}
}

func TestOtherLimitsOfConnectionsAreADifferenceAndOtherNumbersAreNot(t *testing.T) {
	c := chaintest.Healthy()
	c.Snapshot.Nodes[1].Stats.Value.Rows[0].SessionsLimit = 2000
	if html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()})); strings.Count(html, "they differ") != 1 {
		t.Error("one node takes 2,000 connections and the other 12,500")
	}
}

func TestAPoolerThatFellAgainAndAgainIsEvidenceForAnHour(t *testing.T) {
	warns := func(downs int64, ago time.Duration, state ops.State) bool {
		c := chaintest.Healthy().Says("pgb2", func(r *ops.Row) { r.CheckDowns, r.LastChange, r.State = downs, ago, state })
		html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()}))
		at := strings.Index(html, " times, 41 s in all")
		return at > 0 && strings.Contains(html[at-200:at], `data-state-of="warning"`)
	}
	if !warns(6, time.Minute, ops.Up) || warns(6, 2*time.Hour, ops.Up) || warns(1, time.Minute, ops.Up) {
		t.Error("six times a minute ago are news, six times two hours ago or once are not")
	}
}

func TestAnOperatorsMaintIsNoFall(t *testing.T) {
	for _, row := range []struct {
		sentence    string
		downs, fell int64 // counted DOWN, and checks that failed
		want        string
		news        bool
	}{
		{"maint three times, and no check ever failed", 3, 0, "to maint only, 3 times", false},
		{"maint three times, and one check that failed", 3, 1, "3 times, 41 s in all", false},
		{"checks found it dead", 3, 6, "3 times, 41 s in all", true},
	} {
		c := chaintest.Healthy().Says("pgb2", func(r *ops.Row) { r.CheckDowns, r.CheckFails, r.LastChange = row.downs, row.fell, time.Minute })
		html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()}))
		at := strings.Index(html, row.want)
		if at < 0 || strings.Contains(html[max(at-200, 0):at], "#s-warning") != row.news {
			t.Errorf("%s: %v", row.sentence, at)
		}
	}
}

// HAProxy counts since when a server is UP, and not since when it drains.
func TestADrainIsNotAsOldAsWhatItDrains(t *testing.T) {
	c := chaintest.Healthy().Drain("pgb2")
	if html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()})); strings.Count(html, `UP since </span> <time datetime="2026-11-23T08:00:00.000Z"`) != 2 {
		t.Error("it is")
	}
}
