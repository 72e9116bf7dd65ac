package session

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

func mustToken(t *testing.T, m *Manager, role runbook.Role) (secret string) {
	t.Helper()
	secret, _, err := m.CreateToken(t.Context(), Machine(), "script", role, time.Hour, nil)
	try(t, err)
	return secret
}

func bearing(m *Manager, secret string) *guest {
	g := newGuest(m)
	g.token = secret
	return g
}

func TestATokenSaysWhoItIsAndWhatItMay(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, root := member(t, m, "root@example.org", runbook.Administrator)
	secret, row, err := m.CreateToken(t.Context(), root, "ci", runbook.Operator, time.Hour, []string{"Drain", "Ready"})
	try(t, err)
	if !strings.HasPrefix(secret, row.Prefix) || len(row.Prefix) > 11 || *row.UserID != root.ID {
		t.Errorf("secret %d long, row %+v", len(secret), row)
	}
	v := must(bearing(m, secret).viewer())(t)
	if v.Kind != runbook.Token || v.ID != row.ID || v.Name != "ci" || !v.May(runbook.Operator) || v.May(runbook.Administrator) {
		t.Errorf("seen as %+v", v)
	}
	if !v.MayRun("Drain") || v.MayRun("Pause") || v.MayRun("") {
		t.Error("it is pinned to Drain and Ready")
	}
	whole := must(bearing(m, mustToken(t, m, runbook.Viewer)).viewer())(t)
	if !whole.MayRun("") || whole.May(runbook.Operator) {
		t.Errorf("an unpinned viewer's is seen as %+v", whole)
	}
}

func TestATokenMayNeverDoMoreThanItsOwner(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, root := member(t, m, "root@example.org", runbook.Administrator)
	_, ada := member(t, m, "ada@example.org", runbook.Administrator)
	secret, row, err := m.CreateToken(t.Context(), ada, "ci", runbook.Administrator, time.Hour, nil)
	try(t, err)
	child, made, err := m.CreateToken(t.Context(), must(bearing(m, secret).viewer())(t).Actor, "child", runbook.Administrator, time.Hour, nil)
	try(t, err)
	if *made.UserID != ada.ID || made.CreatedBy != row.Name {
		t.Errorf("a token's token is %+v", made)
	}
	try(t, m.SetRole(t.Context(), root, ada.ID, runbook.Viewer, ""))
	w.pass(Fresh)
	for _, s := range []string{secret, child} {
		if v := must(bearing(m, s).viewer())(t); v.Role != runbook.Viewer {
			t.Errorf("its owner is a viewer, it is %s", v.Role)
		}
	}
	try(t, m.Disable(t.Context(), root, ada.ID, "left"))
	w.pass(Fresh)
	for _, s := range []string{secret, child} {
		_, err := bearing(m, s).viewer()
		wants(t, err, fault.Unauthenticated)
	}
}

func TestATokenThatIsRevokedOrTooOldIsRefusedWithinASecond(t *testing.T) {
	w := newWorld(t)
	here, there := w.server(), w.server()
	secret, row, err := here.CreateToken(t.Context(), Machine(), "script", runbook.Viewer, time.Hour, nil)
	try(t, err)
	must(bearing(here, secret).viewer())(t)
	must(bearing(there, secret).viewer())(t)
	try(t, here.RevokeToken(t.Context(), Machine(), row.ID, "leaked"))
	_, err = bearing(here, secret).viewer()
	wants(t, err, fault.Unauthenticated)
	w.pass(Fresh)
	_, err = bearing(there, secret).viewer()
	wants(t, err, fault.Unauthenticated)
	wants(t, here.RevokeToken(t.Context(), Machine(), row.ID, "again"), fault.NotFound)

	old := mustToken(t, here, runbook.Viewer)
	must(bearing(here, old).viewer())(t)
	w.lose() // also when nobody can be asked
	w.pass(time.Hour)
	if _, err := bearing(here, old).viewer(); err == nil {
		t.Error("good after its time")
	}
}

func TestWhatIsNoTokenIsRefusedWithoutAskingPostgreSQL(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	statements := w.statements.Load()
	for _, token := range []string{"x", "weir_", "weir_" + strings.Repeat("a", 51), "weir_" + strings.Repeat("a", 1<<16), "ghp_" + strings.Repeat("a", 52)} {
		_, err := bearing(m, token).viewer()
		wants(t, err, fault.Unauthenticated)
	}
	if w.statements.Load() != statements {
		t.Error("PostgreSQL was asked")
	}
	_, err := bearing(m, "weir_"+strings.Repeat("a", 52)).viewer()
	wants(t, err, fault.Unauthenticated)
}

func TestATokensLastUseIsWrittenOnceAMinute(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	secret, row, err := m.CreateToken(t.Context(), Machine(), "script", runbook.Viewer, time.Hour, nil)
	try(t, err)
	begin := w.now()
	for range 60 {
		must(bearing(m, secret).viewer())(t)
		w.pass(time.Second)
	}
	if got := must(m.q.APITokenGet(t.Context(), w, row.ID))(t); !got.LastUsedAt.Equal(begin) {
		t.Errorf("last used %v, want the first use %v", got.LastUsedAt, begin)
	}
	w.pass(time.Second)
	must(bearing(m, secret).viewer())(t)
	if got := must(m.q.APITokenGet(t.Context(), w, row.ID))(t); !got.LastUsedAt.Equal(w.now()) {
		t.Errorf("last used %v after a minute", got.LastUsedAt)
	}
}

func TestATokenIsNoBrowser(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	g := bearing(m, mustToken(t, m, runbook.Administrator))
	for what, do := range map[string]func(ctx context.Context) error{
		"sign in":         func(ctx context.Context) error { _, err := m.SignIn(ctx, "ada@example.org", password); return err },
		"give a code":     func(ctx context.Context) error { return m.SignInCode(ctx, "000000") },
		"sign out":        m.SignOut,
		"change password": func(ctx context.Context) error { return m.ChangePassword(ctx, password, "an entirely new phrase") },
		"second factor":   func(ctx context.Context) error { _, _, err := m.BeginTOTP(ctx, password); return err },
		"name":            func(ctx context.Context) error { return m.SetName(ctx, "Ada") },
	} {
		if err := g.visit(do); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheLimitsOfATokenAreHeld(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	many := slices.Repeat([]string{"Drain"}, 101)
	for _, c := range []struct {
		sentence, name string
		role           runbook.Role
		good           time.Duration
		operations     []string
		field          string
	}{
		{"no name", " ", runbook.Viewer, time.Hour, nil, "name"},
		{"a name of 100", strings.Repeat("n", 100), runbook.Viewer, time.Hour, nil, ""},
		{"a name of 101", strings.Repeat("n", 101), runbook.Viewer, time.Hour, nil, "name"},
		{"a name of two lines", "a\nb", runbook.Viewer, time.Hour, nil, "name"},
		{"an unknown role", "n", "root", time.Hour, nil, "role"},
		{"a minute", "n", runbook.Viewer, tokenMin, nil, ""},
		{"less than a minute", "n", runbook.Viewer, tokenMin - 1, nil, "expires"},
		{"a leap year", "n", runbook.Viewer, tokenMax, nil, ""},
		{"more than that", "n", runbook.Viewer, tokenMax + 1, nil, "expires"},
		{"pinned to nothing", "n", runbook.Viewer, time.Hour, []string{}, "operations"},
		{"pinned to 100", "n", runbook.Viewer, time.Hour, many[:100], ""},
		{"pinned to 101", "n", runbook.Viewer, time.Hour, many, "operations"},
		{"pinned to no name", "n", runbook.Viewer, time.Hour, []string{"query { x }"}, "operations"},
	} {
		_, _, err := m.CreateToken(t.Context(), Machine(), c.name, c.role, c.good, c.operations)
		if fault.FieldOf(err) != c.field || (err == nil) != (c.field == "") {
			t.Errorf("%s: %v", c.sentence, err)
		}
	}
}

func TestNothingThatOpensADoorIsStored(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, actor := member(t, m, "ada@example.org", runbook.Administrator)
	withTOTP(t, ada)
	var codes []string
	try(t, ada.visit(func(ctx context.Context) (err error) { codes, err = m.NewRecoveryCodes(ctx, password); return err }))
	link, _, err := m.ResetLink(t.Context(), Machine(), actor.ID, "")
	try(t, err)
	token := mustToken(t, m, runbook.Viewer)
	newGuest(m).signIn("nobody@example.org", "a password in the wrong field@example.org")
	newGuest(m).signIn("typed-password-here@example.org", "x")
	var everything string
	for _, table := range []string{"app_user", "session", "one_time_link", "recovery_code", "api_token", "audit"} {
		var rows string
		try(t, w.QueryRow(t.Context(), "SELECT coalesce(string_agg(t::text, ' '), '') FROM "+table+" t").Scan(&rows))
		everything += rows
	}
	for what, secret := range map[string]string{"the password": password, "the cookie": ada.cookie(), "a link": link,
		"a token": token[len(tokenPrefix):], "a token with more than its prefix": token[:len(tokenPrefix)+tokenShown+1],
		"a recovery code": strings.ReplaceAll(codes[0], "-", ""), "an address nobody has": "typed-password-here"} {
		if secret == "" || strings.Contains(strings.ToLower(everything), strings.ToLower(secret)) {
			t.Errorf("%s is stored", what)
		}
	}
}

func TestSessionsAndTokensAreStoredAsSHA256(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Viewer)
	_, err := m.q.SessionGet(t.Context(), w, queries.SessionGetParams{TokenHash: hashToken(ada.cookie()), At: w.now()})
	try(t, err)
}

// A stream, and what is asked over a WebSocket, outlives the moment it began at.
func TestWhatATokenMayOverAnOpenStreamIsWhatItsOwnerMayNow(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, root := member(t, m, "root@example.org", runbook.Administrator)
	_, ada := member(t, m, "ada@example.org", runbook.Administrator)
	secret, row, err := m.CreateToken(t.Context(), ada, "ci", runbook.Operator, time.Hour, []string{"fleet", "drain"})
	try(t, err)
	var stream context.Context
	try(t, bearing(m, secret).visit(func(ctx context.Context) error { stream = ctx; return m.Check(ctx) }))
	now := func() Viewer { return must(ViewerOf(stream))(t) }
	if v := now(); v.Role != runbook.Operator {
		t.Fatalf("it began as %+v", v)
	}

	try(t, m.SetRole(t.Context(), root, ada.ID, runbook.Viewer, "moved on"))
	w.pass(Fresh)
	try(t, m.Check(stream))
	if v := now(); v.May(runbook.Operator) || v.ID != row.ID || !slices.Equal(v.Operations, []string{"fleet", "drain"}) || v.Address != ada.Address {
		t.Errorf("its owner is a viewer, and it is seen as %+v", v)
	}
	w.lose() // that nobody can be asked raises nothing, and ends nothing
	w.pass(2 * Fresh)
	try(t, m.Check(stream))
	if v := now(); v.Role != runbook.Viewer {
		t.Errorf("while PostgreSQL is away it is seen as %+v", v)
	}
	w.restore()

	try(t, m.Disable(t.Context(), root, ada.ID, "left"))
	w.pass(2 * Fresh)
	wants(t, m.Check(stream), fault.Unauthenticated)
}

func TestWhoSignedOutIsNotSignedInAgainByTheirOwnStream(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Viewer)
	try(t, ada.visit(func(ctx context.Context) error {
		try(t, m.SignOut(ctx))
		wants(t, m.Check(ctx), fault.Unauthenticated)
		_, err := ViewerOf(ctx)
		wants(t, err, fault.Unauthenticated)
		return nil
	}))
}
