package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/postgres"
	"weir/views/story"
	"weir/views/ui"
)

func TestThePagesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "postgres") {
			golden.HTML(t, s.Name, s.Content)
			golden.Plain(t, s.Content)
		}
	}
}

func TestEveryFragmentHasItsPlace(t *testing.T) {
	m := story.Postgres()
	html := golden.Render(t, postgres.Content(m))
	for _, f := range m.Fragments() {
		if strings.Count(html, `id="`+f.ID+`"`) != 1 {
			t.Errorf("#%s is missing, or doubled", f.ID)
		}
	}
}

func TestAReaderSeesNoOrders(t *testing.T) {
	if html := golden.Render(t, postgres.Content(story.PostgresViewer())); strings.Contains(html, "/terminate") || strings.Contains(html, "/cancel") {
		t.Error("a viewer is offered orders")
	}
}

func TestTheUpperHalfStandsWhilePostgreSQLIsAway(t *testing.T) {
	m := story.Postgres()
	m.View = chaintest.Healthy().NoPostgres().View()
	m.Activity, m.Top = postgres.Activity{Missing: story.Away}, postgres.Top{Missing: story.Away}
	html := golden.Render(t, postgres.Content(m))
	for _, want := range []string{"141", "out of reach", "48 GiB"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not there", want)
		}
	}
}

func TestEveryHopFromTheClientToTheBackendIsNamed(t *testing.T) {
	m := story.Postgres()
	for i, want := range map[int]string{
		0: "203.0.113.9:51234 haproxy1 pgb1 pid 4211",
		3: "client not known haproxy2 pgb1 pid 4377",
		5: "192.168.1.41:50110 pid 917",
	} {
		if got := strings.Join(m.Way(m.Activity.Backends[i]), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// drawn is a tree as text: 1(2(3) 4).
func drawn(list []postgres.Blocker) string {
	var out []string
	for _, b := range list {
		text := string(rune('0' + b.PID))
		if len(b.Waiting) > 0 {
			text += "(" + drawn(b.Waiting) + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestWhoBlocksWhomIsATreeInWhichEverySessionStandsOnce(t *testing.T) {
	session := func(pid int, by ...int) postgres.Backend { return postgres.Backend{PID: pid, BlockedBy: by} }
	for _, row := range []struct {
		sentence string
		list     []postgres.Backend
		want     string
	}{
		{"nobody waits", []postgres.Backend{session(1), session(2)}, ""},
		{"one waits for another", []postgres.Backend{session(1), session(2, 1)}, "1(2)"},
		{"a chain hangs from its end", []postgres.Backend{session(3, 2), session(2, 1), session(1)}, "1(2(3))"},
		{"one that waits for two stands below the first that is drawn", []postgres.Backend{session(1), session(2), session(3, 1, 2)}, "1(3) 2"},
		{"the root with most behind it comes first", []postgres.Backend{session(1), session(2, 1), session(5), session(6, 5), session(7, 6)}, "5(6(7)) 1(2)"},
		{"a blocker that is no session is a root", []postgres.Backend{session(2, 0)}, "0(2)"},
		{"a circle is cut open once", []postgres.Backend{session(1, 2), session(2, 1)}, "1(2)"},
		{"who waits behind a circle is not lost", []postgres.Backend{session(1, 2), session(2, 1), session(3, 2)}, "1(2(3))"},
		{"one that blocks itself ends", []postgres.Backend{session(1, 1)}, "1"},
	} {
		if got := drawn(postgres.Tree(row.list)); got != row.want {
			t.Errorf("%s: %s, want %s", row.sentence, got, row.want)
		}
	}
}

func TestAnOrderNamesTheSessionByItsStartToo(t *testing.T) {
	b := postgres.Backend{PID: 7, Started: time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)}
	if got, want := postgres.Cancel.URL(b), "/postgres/backends/7/cancel?started=2026-01-02T03%3A04%3A05.000678Z"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestIdleSessionsAreListedWhenAskedFor(t *testing.T) {
	m := story.Postgres()
	for _, show := range []postgres.Show{postgres.Busy, postgres.All} {
		m.Show = show
		if has := strings.Contains(golden.Render(t, postgres.Content(m)), `id="pid-4400"`); has != (show == postgres.All) {
			t.Errorf("%s: the idle session is there: %v", show, has)
		}
	}
}

func TestASessionThatDoesNothingInATransactionForLongIsMarked(t *testing.T) {
	now := chaintest.Noon
	b := postgres.Backend{State: postgres.IdleInXact, StateSince: now.Add(-59 * time.Second)}
	if b.Look(now) == ui.Warning {
		t.Error("too soon")
	}
	b.StateSince = now.Add(-time.Minute)
	if b.Look(now) != ui.Warning {
		t.Error("not marked")
	}
}

func TestAnOrderThatNobodyKnowsSortsByTotalTime(t *testing.T) {
	if !slices.Equal([]postgres.Order{postgres.ParseOrder("x; drop"), postgres.ParseOrder("calls")}, []postgres.Order{postgres.TotalTime, postgres.Calls}) {
		t.Error("wrong")
	}
}
