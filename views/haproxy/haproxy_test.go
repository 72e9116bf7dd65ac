package haproxy_test

import (
	"strings"
	"testing"

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
	form := ui.ConfirmForm(haproxy.Order{Verb: haproxy.Relinquish, Node: "haproxy1", Peer: "haproxy2",
		Effects: []string{"The 1834 clients of haproxy1 are disconnected and connect again through haproxy2."}}.Confirm())
	golden.HTML(t, "confirm", form)
	golden.Plain(t, form)
}

func TestWhatTwoProcessesOfANodeSawIsOneTime(t *testing.T) {
	c := chaintest.Healthy().Says("pgb2", func(r *ops.Row) { r.CheckDowns, r.Downs = 12, []int64{6, 6} })
	html := golden.Render(t, haproxy.Content(haproxy.Model{View: c.View()}))
	if strings.Contains(html, "12 times") || !strings.Contains(html, "6 times") {
		t.Error("each process counts for itself")
	}
}
