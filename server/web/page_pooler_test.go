package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
	"weir/views/chain/chaintest"
)

// asking is an API whose poolers are asked, or do not answer.
type asking struct {
	Query
	err       error
	asked     atomic.Int64
	paused    []runbook.Paused
	pausedErr error
}

func (q *asking) Pauses(context.Context) ([]runbook.Paused, error) { return q.paused, q.pausedErr }

func (q *asking) PoolerConnections(_ context.Context, pooler string, first int) (*noun.PoolerConnections, error) {
	q.asked.Add(1)
	if q.err != nil {
		return nil, q.err
	}
	since, pid, address := chaintest.Noon, 4211, "10.0.0.7:55555"
	client := noun.PoolerClient{Pooler: pooler, User: "app", Database: "shop", State: "active", ConnectedSince: &since, ProxyAddress: "192.168.1.10:40001", Address: &address, PID: &pid}
	return &noun.PoolerConnections{Pooler: pooler, At: time.Now(), Clients: []noun.PoolerClient{client}, ClientsTotal: 611, ServersTotal: 1, MaxPreparedStatements: 200,
		Servers: []noun.PoolerServer{{PID: pid, State: "active", PreparedStatements: 31, Client: &client}}}, nil
}

func (q *asking) Incidents(context.Context, *bool, *string, *string, *string, *time.Time, *time.Time, *int, *string, *int, *string) (*noun.IncidentConnection, error) {
	return &noun.IncidentConnection{}, q.err
}

func (q *asking) Config(context.Context, string) (*noun.Config, error) {
	q.asked.Add(1)
	return &noun.Config{Running: []noun.Setting{{Key: "pool_mode", Value: "transaction", Default: "session"}}}, q.err
}

func (*asking) Samples(context.Context, string, *string, time.Time, time.Time, int) ([]noun.Series, error) {
	return nil, nil
}

// page is pgb2's, as somebody of a role gets it from a chain.
func (q *asking) page(t *testing.T, c *chaintest.Chain, role runbook.Role) string {
	t.Helper()
	w := newSite(t, nil).Web
	w.Query, w.live = q, newLive(fleet.NewHub(c.Snapshot), c.Inventory)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/poolers/pgb2", nil)
	r.SetPathValue("pooler", "pgb2")
	a := w.ask(r)
	a.viewer = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: role}}
	m, err := w.pooler(a)
	if err != nil {
		t.Fatal(err)
	}
	var html strings.Builder
	if err := m.content.Render(t.Context(), &html); err != nil {
		t.Fatal(err)
	}
	return html.String()
}

func TestAPoolersPageShowsWhoIsConnectedAndItsSettings(t *testing.T) {
	html := new(asking).page(t, chaintest.Healthy(), runbook.Operator)
	for _, want := range []string{"10.0.0.7:55555", "served by pid 4211", "The first 1 of 611 clients", "pid 4211", "31", "at most 200 on each connection", "pool_mode"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestAViewerSeesAPoolersClientsAndNotItsSettings(t *testing.T) {
	html := new(asking).page(t, chaintest.Healthy(), runbook.Viewer)
	if !strings.Contains(html, "10.0.0.7:55555") || strings.Contains(html, "pool_mode") || !strings.Contains(html, "needs the role operator") {
		t.Error("clients are missing, or settings are there")
	}
}

// The page is wanted most just then: it must not wait for answers that do not come.
func TestAPoolerThatIsDownIsNotAskedByItsPage(t *testing.T) {
	q := new(asking)
	html := q.page(t, chaintest.Healthy().Down("pgb2"), runbook.Operator)
	if q.asked.Load() != 0 || !strings.Contains(html, "not known while pgb2 does not answer") {
		t.Errorf("asked %d times", q.asked.Load())
	}
}

func TestAPoolersPageSaysWhyItsConnectionsAreNotThere(t *testing.T) {
	q := &asking{err: fault.Errorf(fault.Unavailable, "pgb2 does not answer.")}
	if html := q.page(t, chaintest.Healthy(), runbook.Operator); !strings.Contains(html, "could not be read") || !strings.Contains(html, "pgb2 does not answer.") ||
		strings.Contains(html, "PostgreSQL keeps it") {
		t.Error("it does not, or it blames PostgreSQL")
	}
}

func TestThePagesOfOnePoolerShareOneListOfItsConnections(t *testing.T) {
	var q asking
	w := newSite(t, nil).Web
	w.Query, w.live = &q, newLive(fleet.NewHub(chaintest.Healthy().Snapshot), chaintest.Healthy().Inventory)
	for range 5 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/poolers/pgb2", nil)
		r.SetPathValue("pooler", "pgb2")
		a := w.ask(r)
		a.stream, a.viewer = true, &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Role: runbook.Operator}}
		if _, err := w.pooler(a); err != nil {
			t.Fatal(err)
		}
	}
	if n := q.asked.Load(); n != 1 {
		t.Errorf("asked %d times for five frames", n)
	}
}

func TestAPoolersPageSaysWhoPausedIt(t *testing.T) {
	ends := time.Now().Add(80 * time.Second)
	q := &asking{paused: []runbook.Paused{{Pooler: "pgb1", By: "bob", Expires: ends}, {Pooler: "pgb2", By: "ada@example.org", Reason: "restart", Expires: ends}}}
	if html := q.page(t, chaintest.Healthy().Pause(), runbook.Viewer); !strings.Contains(html, "paused by ada@example.org: restart") || strings.Contains(html, "bob") {
		t.Error("it does not, or it tells of another")
	}
	q = &asking{pausedErr: fault.Errorf(fault.Unavailable, "away")}
	if html := q.page(t, chaintest.Healthy().Pause(), runbook.Viewer); strings.Contains(html, "nobody left a record") {
		t.Error("what could not be read is said not to be there")
	}
}

func TestAPauseThatEndsByItselfIsNoOrderInTheLastChanges(t *testing.T) {
	for _, row := range []struct {
		kind runbook.Kind
		want string
	}{{runbook.System, "the pause of pgb1 ended by itself"}, {runbook.User, "resumed pgb1"}} {
		e := noun.AuditEntry{Audit: queries.Audit{Verb: "resume", Subject: "pgb1", Outcome: "ok", ActorKind: string(row.kind)}}
		if got := act(e, func(string) string { return "" }).Text; got != row.want {
			t.Errorf("%s: %q", row.kind, got)
		}
	}
}

// A pooler that was resumed looks paused until it is read again.
func TestAPauseThatHasJustEndedIsNotSaidToHaveNoRecord(t *testing.T) {
	var e ended
	p, q := runbook.Paused{Pooler: "pgb1", By: "ada"}, runbook.Paused{Pooler: "pgb1", By: "bob"}
	for _, row := range []struct {
		sentence string
		list     []runbook.Paused
		after    time.Duration
		want     []runbook.Paused
	}{
		{"it is there", []runbook.Paused{p}, 0, []runbook.Paused{p}},
		{"it has just ended", nil, time.Second, []runbook.Paused{p}},
		{"there is another, which comes first", []runbook.Paused{q}, 2 * time.Second, []runbook.Paused{q, p}},
		{"it ended a while ago", []runbook.Paused{q}, 4 * time.Second, []runbook.Paused{q}},
		{"so have all", nil, 8 * time.Second, nil},
	} {
		if got := e.with(row.list, chaintest.Noon.Add(row.after)); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v", row.sentence, got)
		}
	}
}
