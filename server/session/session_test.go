package session

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

func TestASessionEndsWhenItIsIdleAndInAnyCaseAfterAWeek(t *testing.T) {
	for _, away := range []bool{false, true} {
		w := newWorld(t)
		m := w.server()
		idle, _ := member(t, m, "idle@example.org", runbook.Viewer)
		busy, _ := member(t, m, "busy@example.org", runbook.Viewer)
		if away {
			w.lose()
		}
		w.pass(IdleTimeout - time.Minute)
		must(busy.viewer())(t)
		w.pass(time.Minute)
		if _, err := idle.viewer(); err == nil {
			t.Errorf("away %v: idle, and still signed in", away)
		}
		for w.pass(time.Minute); w.now().Before(w.begun.Add(AbsoluteTimeout - 6*time.Hour)); w.pass(6 * time.Hour) {
			must(busy.viewer())(t)
		}
		w.clock.Store(w.begun.Add(AbsoluteTimeout).UnixNano())
		if _, err := busy.viewer(); err == nil {
			t.Errorf("away %v: signed in for more than a week", away)
		}
	}
}

func TestWhoIsSignedInStaysSoWhilePostgreSQLIsAway(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	grace, _ := member(t, m, "grace@example.org", runbook.Operator)
	secret := mustToken(t, m, runbook.Viewer)
	script := newGuest(m)
	script.token = secret
	must(script.viewer())(t)
	w.lose()
	for range 3 {
		w.pass(time.Minute)
		if v := must(ada.viewer())(t); v.Email != "ada@example.org" || v.Role != runbook.Operator {
			t.Errorf("seen as %+v", v)
		}
		must(script.viewer())(t)
	}
	_, err := newGuest(m).signIn("ada@example.org", password)
	wants(t, err, fault.Unavailable)
	_, err = ada.at(w.server()).viewer() // a server that started meanwhile
	wants(t, err, fault.Unavailable)

	before := grace.at(m)
	try(t, grace.visit(m.SignOut)) // ends here at once
	if _, err := before.viewer(); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("signed out, and seen as somebody: %v", err)
	}
	w.restore()
	w.pass(time.Minute)
	must(ada.viewer())(t)
	try(t, m.Sweep(t.Context()))
	if _, err := before.at(w.server()).viewer(); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("signed out while PostgreSQL was away, and elsewhere still signed in: %v", err)
	}
	if last := w.audit()[len(w.audit())-1]; last.Verb != "sign-out" || last.Subject != "grace@example.org" {
		t.Errorf("the audit ends with %+v", last)
	}
}

func TestAPostgreSQLThatHangsKeepsNobodyWaitingLong(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	tx := must(w.Begin(t.Context()))(t)
	defer tx.Rollback(context.Background()) // or a failure here would wait for the pool for ever
	must(tx.Exec(t.Context(), "LOCK TABLE session IN ACCESS EXCLUSIVE MODE"))(t)
	w.pass(time.Minute)
	begin := time.Now()
	must(ada.viewer())(t)
	first := time.Since(begin)
	statements := w.statements.Load()
	for range 100 { // those that come after do not wait at all
		must(ada.viewer())(t)
	}
	if first > 2*askLimit || w.statements.Load() != statements {
		t.Errorf("the first waited %v; those after it asked %d times", first, w.statements.Load()-statements)
	}
	try(t, tx.Rollback(t.Context()))
}

func TestARevokedSessionEndsWithinASecondOnEveryServer(t *testing.T) {
	w := newWorld(t)
	here, there := w.server(), w.server()
	_, root := member(t, here, "root@example.org", runbook.Administrator)
	for what, revoke := range map[string]func(who Viewer) error{
		"a session ended":    func(who Viewer) error { return here.EndSession(t.Context(), root, who.Session, "lost") },
		"all sessions ended": func(who Viewer) error { return here.EndSessions(t.Context(), root, who.ID, "lost") },
		"another role": func(who Viewer) error {
			return here.SetRole(t.Context(), root, who.ID, runbook.Operator, "promoted")
		},
		"a disabled account":      func(who Viewer) error { return here.Disable(t.Context(), root, who.ID, "left") },
		"a cleared second factor": func(who Viewer) error { return here.ClearTOTP(t.Context(), root, who.ID, "lost") },
	} {
		email := "user" + strconv.Itoa(int(w.statements.Load())) + "@example.org"
		g, _ := member(t, here, email, runbook.Viewer)
		withTOTP(t, g)
		away := g.at(there)
		var stream context.Context
		try(t, away.visit(func(ctx context.Context) error { stream = ctx; return there.Check(ctx) }))
		must(g.viewer())(t) // both have just asked, and would believe it for a second
		try(t, revoke(must(away.viewer())(t)))
		if _, err := g.viewer(); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: here %v", what, err)
		}
		w.pass(Fresh)
		if _, err := away.viewer(); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: there %v", what, err)
		}
		wants(t, there.Check(stream), fault.Unauthenticated)
	}
}

func TestASessionMadeWhileThePasswordWasResetIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Operator)
	thief := newGuest(m)
	var late state
	try(t, thief.visit(func(ctx context.Context) error { // the password was right, the session is not saved yet
		u, err := m.q.UserGet(ctx, w, ada.ID)
		late = state{User: u.ID, Stamp: stamp(u)}
		return err
	}))
	token, _, err := m.ResetLink(t.Context(), Machine(), ada.ID, "")
	try(t, err)
	try(t, newGuest(m).visit(func(ctx context.Context) error {
		_, err := m.ResetPassword(ctx, token, "an entirely new phrase")
		return err
	}))
	try(t, thief.visit(func(ctx context.Context) error { return m.renew(ctx, late) }))
	_, err = thief.viewer()
	wants(t, err, fault.Unauthenticated)
}

func TestAnOpenStreamDoesNotKeepASessionAlive(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Viewer)
	var stream context.Context
	try(t, ada.visit(func(ctx context.Context) error { stream = ctx; return nil }))
	for range 12 {
		w.pass(59 * time.Minute)
		try(t, m.Check(stream))
	}
	w.pass(13 * time.Minute)
	wants(t, m.Check(stream), fault.Unauthenticated)
}

func TestASessionRecordsWhereItWasLastUsedAMinuteExactly(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, actor := member(t, m, "ada@example.org", runbook.Viewer)
	row := func() queries.Session {
		page := must(m.q.SessionPageForward(t.Context(), w, queries.SessionPageForwardParams{At: w.now(), UserID: &actor.ID, Size: 9}))(t)
		if len(page) != 1 {
			t.Fatalf("%d sessions", len(page))
		}
		return page[0]
	}
	made := row()
	if *made.Address != netip.MustParseAddr("192.0.2.7") || made.UserAgent != "Firefox" {
		t.Errorf("made as %+v", made)
	}
	ada.from = "192.0.2.99"
	w.pass(30 * time.Second)
	must(ada.viewer())(t)
	if got := row(); !got.LastSeenAt.Equal(made.LastSeenAt) {
		t.Errorf("written again after half a minute")
	}
	w.pass(30 * time.Second)
	must(ada.viewer())(t)
	if got := row(); !got.LastSeenAt.Equal(w.now()) || *got.Address != netip.MustParseAddr("192.0.2.99") {
		t.Errorf("after a minute it says %+v", got)
	}
}

func TestASignedInRequestAsksPostgreSQLAtMostOnceASecond(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Viewer)
	w.pass(time.Second)
	must(ada.viewer())(t)
	statements := w.statements.Load()
	for range 100 {
		must(ada.viewer())(t)
	}
	if got := w.statements.Load() - statements; got != 0 {
		t.Errorf("%d statements for a hundred requests within a second", got)
	}
}

func TestPeopleEndTheirOwnSessionsAndNobodyElses(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, actor := member(t, m, "ada@example.org", runbook.Operator)
	grace, _ := member(t, m, "grace@example.org", runbook.Operator)
	phone := newGuest(m)
	must(phone.signIn("ada@example.org", password))(t)
	other := must(grace.viewer())(t)
	wants(t, m.EndSession(t.Context(), actor, other.Session, ""), fault.NotFound)
	wants(t, m.EndSessions(t.Context(), actor, other.ID, ""), fault.Forbidden)
	must(grace.viewer())(t)
	try(t, m.EndSession(t.Context(), actor, must(phone.viewer())(t).Session, ""))
	_, err := phone.viewer()
	wants(t, err, fault.Unauthenticated)
	must(phone.signIn("ada@example.org", password))(t)
	try(t, ada.visit(func(ctx context.Context) error { return m.EndSessions(ctx, actor, actor.ID, "") }))
	_, err = phone.viewer()
	wants(t, err, fault.Unauthenticated)
	must(ada.viewer())(t) // the one that asked stays
}

func TestMemoryIsBoundedAndForgetsTheLeastRecentlyUsed(t *testing.T) {
	loads := 0
	now := func() time.Time { return time.Unix(0, 0) }
	m := newMemory(now, func(_ context.Context, hash string) (string, bool, error) { loads++; return hash, true, nil },
		func(string, time.Time) bool { return true })
	for i := range remembered + 1 {
		m.get(t.Context(), strconv.Itoa(i))
		m.get(t.Context(), "0") // stays in use
	}
	if len(m.entries) != remembered || m.recent.Len() != remembered || loads != remembered+1 {
		t.Errorf("%d entries, %d in order, %d asked for", len(m.entries), m.recent.Len(), loads)
	}
	m.get(t.Context(), "1")
	if loads != remembered+2 {
		t.Error("the least recently used was not the one forgotten")
	}
}

func TestCookiesAreOutOfReachOfScriptsOtherSitesAndPlainHTTP(t *testing.T) {
	w := newWorld(t)
	m := must(New(Deps{DB: bounded{w}, Now: w.now, NewID: w.server().NewID, Secure: true}))(t)
	ada, _ := member(t, m, "ada@example.org", runbook.Viewer)
	for _, name := range []string{"__Host-weir", "__Host-weir-device"} {
		c := ada.cookies[name]
		if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s is %+v", name, c)
		}
	}
}
