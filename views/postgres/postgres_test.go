package postgres_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

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

// top is a page with these statements alone.
func top(t postgres.Top, texts ...string) string {
	m := story.Postgres()
	for i, text := range texts {
		t.Queries = append(t.Queries, postgres.Query{ID: strconv.Itoa(i), User: "app", Database: "app", Text: text, Calls: 1, Total: time.Second, Mean: time.Second})
	}
	m.Top = t
	var b strings.Builder
	if err := postgres.Content(m).Render(context.Background(), &b); err != nil {
		panic(err)
	}
	return b.String()
}

func TestDDLIsLeftOutUntilItIsAskedFor(t *testing.T) {
	for text, kept := range map[string]bool{
		"SELECT $1": true, "select 1": true, "(SELECT 1) UNION SELECT 2": true, "WITH x AS (SELECT 1) DELETE FROM y": true, "VALUES($1)": true,
		"/* shop */ UPDATE a SET b = $1": true, "-- a\nINSERT INTO a VALUES ($1)": true, "SELECT\n id": true, "COPY a FROM STDIN": true,
		"(withheld: it may hold a password)": true, "CREATE TABLE a (b int)": false, "COMMIT": false, "BEGIN": false, "/* shop */ ALTER TABLE a ADD b int": false, "": false,
	} {
		id := `query-0-app-app"`
		if len(text) <= 80 { // a short text has no id
			id = templ.EscapeString(text) + "</span>"
		}
		if text != "" && strings.Contains(top(postgres.Top{By: postgres.TotalTime}, text), id) != kept {
			t.Errorf("%q is kept: %v, want %v", text, !kept, kept)
		}
		if text != "" && !strings.Contains(top(postgres.Top{By: postgres.TotalTime, All: true}, text), id) {
			t.Errorf("%q is not among all statements", text)
		}
	}
	if !strings.Contains(top(postgres.Top{By: postgres.TotalTime}, "COMMIT"), "Nothing but DDL") {
		t.Error("an empty list does not say why")
	}
}

func TestTenQueriesAreOpenAndTenMoreAreFolded(t *testing.T) {
	html := top(postgres.Top{By: postgres.TotalTime}, slices.Repeat([]string{"SELECT $1"}, 30)...)
	open, folded, found := strings.Cut(html, `id="more-queries"`)
	if !found || strings.Count(open, ">SELECT $1<") != 10 || strings.Count(folded, ">SELECT $1<") != 10 || !strings.Contains(folded, "10 more") {
		t.Errorf("%d, then %d", strings.Count(open, ">SELECT $1<"), strings.Count(folded, ">SELECT $1<"))
	}
}

func TestAShareIsSaidOnlyOfAWholeThatIsKnown(t *testing.T) {
	for _, row := range []struct {
		sentence string
		top      postgres.Top
		share    bool
	}{
		{"all statements are listed", postgres.Top{By: postgres.Calls, Whole: true}, true},
		{"those that took most are listed", postgres.Top{By: postgres.TotalTime}, true},
		{"those that ran most often say nothing of the time of all", postgres.Top{By: postgres.Calls}, false},
	} {
		html := top(row.top, "SELECT 1", "SELECT 2", "CREATE TABLE a ()", "SELECT 4")
		if strings.Contains(html, `data-label="Share">25 %`) != row.share || strings.Contains(html, "Share is of") != row.share {
			t.Errorf("%s: a share is said: %v", row.sentence, !row.share)
		}
	}
}

func TestWhatIsListedIsChosenWithoutTheTablesHead(t *testing.T) {
	html := golden.Render(t, postgres.Content(story.Postgres()))
	for _, head := range strings.SplitAfter(html, "</thead>") {
		if _, head, found := strings.Cut(head, "<thead>"); found && strings.Contains(head, "<a ") {
			t.Error("a phone hides the head, and its links stay in the keyboard's way")
		}
	}
	if want := "/postgres?by=calls&amp;show=busy#top-title"; !strings.Contains(html, want) {
		t.Errorf("no link %s", want)
	}
}

func TestAServerThatHasJustStartedSaysSo(t *testing.T) {
	m := story.Postgres()
	m.View.Snapshot.Postgres.Probe.Value.StartTime = chaintest.Noon.Add(-29 * time.Second)
	if html := golden.Render(t, postgres.Content(m)); !strings.Contains(html, "started ") || strings.Contains(html, "up for ") {
		t.Error("an uptime of 29 s reads like any other")
	}
}
