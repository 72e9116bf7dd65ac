package session

import (
	"context"
	"sync"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

func TestAStrangerCannotTellAnUnknownAddressFromAWrongPassword(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Administrator)
	_, gone := member(t, m, "gone@example.org", runbook.Viewer)
	try(t, m.Disable(t.Context(), ada, gone.ID, "left"))
	type trace struct {
		message            string
		hashes, statements int64
	}
	measure := func(email, password string) trace {
		hashes, statements := m.hasher.made.Load(), w.statements.Load()
		_, err := newGuest(m).signIn(email, password)
		wants(t, err, fault.Unauthenticated)
		return trace{fault.MessageOf(err), m.hasher.made.Load() - hashes, w.statements.Load() - statements}
	}
	wrong := measure("ada@example.org", "not her password")
	if wrong.hashes != 1 {
		t.Errorf("a wrong password cost %d hashes", wrong.hashes)
	}
	for what, got := range map[string]trace{
		"an unknown address":                      measure("nobody@example.org", password),
		"a disabled account, its right password":  measure("gone@example.org", password),
		"a disabled account and a wrong password": measure("gone@example.org", "not his password"),
	} {
		if got != wrong {
			t.Errorf("%s: %+v; a wrong password: %+v", what, got, wrong)
		}
	}
}

func TestThrottlingIsTheSameForAddressesOfNobody(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	member(t, m, "ada@example.org", runbook.Viewer)
	refusedAfter := func(email string) (n int) {
		for n = range 30 {
			if _, err := newGuest(m).signIn(email, "not the password"); fault.CodeOf(err) == fault.RateLimited {
				return n
			}
		}
		return n
	}
	if known, unknown := refusedAfter("ada@example.org"), refusedAfter("nobody@example.org"); known != unknown || known != 6 {
		t.Errorf("refused after %d attempts of a known, %d of an unknown address", known, unknown)
	}
}

func TestAnAttackerSlowsSignInDownButLocksNobodyOut(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	try(t, ada.visit(m.SignOut))
	hashes, tried := m.hasher.made.Load(), 0
	for i := 0; i < 24*60; i++ { // a day, an attempt each minute, the server restarted each six hours
		if i%360 == 359 {
			hashes, m = hashes-m.hasher.made.Load(), w.server()
		}
		attacker := newGuest(m)
		attacker.from = "198.51.100.66"
		if _, err := attacker.signIn("ada@example.org", "a guess at her password"); fault.CodeOf(err) != fault.RateLimited {
			tried++
		}
		w.pass(time.Minute)
	}
	if tried < 24 || tried > 24*14 {
		t.Errorf("%d guesses got through in a day", tried)
	}
	if got := m.hasher.made.Load() - hashes; got > int64(tried) {
		t.Errorf("%d passwords were hashed for %d attempts", got, tried)
	}
	stranger := newGuest(m)
	for range 20 { // to where the account is blocked
		stranger.signIn("ada@example.org", "a guess at her password")
	}
	_, err := stranger.signIn("ada@example.org", password)
	wants(t, err, fault.RateLimited)
	_, err = ada.at(m).signIn("ada@example.org", password)
	wants(t, err, "") // her own browser has a throttle of its own
	_, err = stranger.signIn("ada@example.org", password)
	wants(t, err, fault.RateLimited) // and gives the attacker no new guesses
	w.pass(byAccount.longest)
	_, err = stranger.signIn("ada@example.org", password)
	wants(t, err, "")
}

func TestAResetLinkOpensABlockedAccount(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Operator)
	for range 10 {
		newGuest(m).signIn("ada@example.org", "a guess at her password")
	}
	token, _, err := m.ResetLink(t.Context(), Machine(), ada.ID, "")
	try(t, err)
	phone := newGuest(m)
	try(t, phone.visit(func(ctx context.Context) error {
		_, err := m.ResetPassword(ctx, token, "an entirely new phrase")
		return err
	}))
	if v := must(phone.viewer())(t); v.ID != ada.ID {
		t.Errorf("signed in as %+v", v)
	}
	_, err = newGuest(m).signIn("ada@example.org", "an entirely new phrase")
	wants(t, err, "")
}

func TestADevicesCookieIsGoodForItsAccountOnly(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	member(t, m, "grace@example.org", runbook.Operator)
	for range 10 {
		newGuest(m).signIn("grace@example.org", "a guess at her password")
	}
	_, err := ada.signIn("grace@example.org", password)
	wants(t, err, fault.RateLimited)
}

func TestOneAddressCannotTryManyAccountsForLong(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	attacker, refused := newGuest(m), 0
	attacker.from = "2001:db8::1"
	for i := range 40 {
		attacker.from = []string{"2001:db8::1", "2001:db8::ffff:2"}[i%2] // one client's network
		if _, err := attacker.signIn(string(rune('a'+i%26))+string(rune('a'+i/26))+"@example.org", "a guess"); fault.CodeOf(err) == fault.RateLimited {
			refused++
		}
	}
	if refused != 40-21 {
		t.Errorf("%d of 40 were refused, want all after 21", refused)
	}
	neighbour := newGuest(m)
	neighbour.from = "2001:db8:0:1::1"
	_, err := neighbour.signIn("zz@example.org", "a guess")
	wants(t, err, fault.Unauthenticated)
}

func TestManyAttemptsAtOnceGetNoMoreThanOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	member(t, m, "ada@example.org", runbook.Viewer)
	hashes := m.hasher.made.Load()
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() { newGuest(m).signIn("ada@example.org", "a guess at her password") })
	}
	all.Wait()
	if got := m.hasher.made.Load() - hashes; got != 6 {
		t.Errorf("%d passwords were looked at, want 5 free and the one that blocks", got)
	}
}

func TestEveryChangeOfPrivilegeTakesANewTokenAndEndsTheOld(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	secret := withTOTP(t, ada)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"signing out and giving a password", func() error {
			try(t, ada.visit(m.SignOut))
			_, err := ada.signIn("ada@example.org", password)
			return err
		}},
		{"giving the second factor", func() error { w.pass(time.Minute); return ada.enterCode(codeAt(t, secret, w.now())) }},
		{"signing in once more", func() error { _, err := ada.signIn("ada@example.org", password); return err }},
		{"giving the second factor once more", func() error { w.pass(time.Minute); return ada.enterCode(codeAt(t, secret, w.now())) }},
		{"changing the password", func() error {
			return ada.visit(func(ctx context.Context) error { return m.ChangePassword(ctx, password, "an entirely new phrase") })
		}},
		{"giving up the second factor", func() error {
			return ada.visit(func(ctx context.Context) error { return m.RemoveTOTP(ctx, "an entirely new phrase") })
		}},
	} {
		before := ada.at(m)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if ada.cookie() == before.cookie() || ada.cookie() == "" {
			t.Errorf("%s kept the token", step.what)
		}
		if _, err := before.viewer(); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: with the token from before: %v", step.what, err)
		}
	}
	must(ada.viewer())(t)
}

func TestATokenThatABrowserBringsAlongIsNotTaken(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	try(t, ada.visit(m.SignOut))
	ada.cookies["weir"] = newCookie("weir", "planted-by-an-attacker")
	_, err := ada.signIn("ada@example.org", password)
	try(t, err)
	if ada.cookie() == "planted-by-an-attacker" {
		t.Error("the planted token became a session")
	}
}

func TestSignInRefusesInputThatCannotBeRight(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	long := string(make([]byte, 1<<20))
	for _, c := range []struct{ sentence, email, password, field string }{
		{"no address", "", password, "email"},
		{"no at sign", "ada", password, "email"},
		{"a name beside the address", "Ada <ada@example.org>", password, "email"},
		{"a megabyte of address", long + "@example.org", password, "email"},
		{"invalid UTF-8 in the address", "a\xff@example.org", password, "email"},
		{"a zero byte", "a\x00@example.org", password, "email"},
		{"a megabyte of password", "ada@example.org", long, "password"},
		{"invalid UTF-8 in the password", "ada@example.org", "\xff\xfe", "password"},
	} {
		if _, err := newGuest(m).signIn(c.email, c.password); fault.CodeOf(err) != fault.Invalid || fault.FieldOf(err) != c.field {
			t.Errorf("%s: %v", c.sentence, err)
		}
	}
}

func TestThrottlesAndLinksThatAreOverAreDeleted(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	newGuest(m).signIn("ada@example.org", "a guess")
	_, _, err := m.Invite(t.Context(), Machine(), "grace@example.org", runbook.Viewer)
	try(t, err)
	member(t, m, "ada@example.org", runbook.Viewer)
	w.pass(30 * 24 * time.Hour)
	try(t, m.Sweep(t.Context()))
	var left int
	try(t, w.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM login_throttle) + (SELECT count(*) FROM session) + (SELECT count(*) FROM one_time_link)").Scan(&left))
	if left != 0 {
		t.Errorf("%d rows are left", left)
	}
}

func TestALinkMakesOneAccountHoweverManyUseItAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	token, _, err := m.Invite(t.Context(), Machine(), "ada@example.org", runbook.Operator)
	try(t, err)
	made := make(chan error, 5)
	for range cap(made) {
		go func() {
			made <- newGuest(m).visit(func(ctx context.Context) error { return m.SignUp(ctx, token, "", "Ada", password) })
		}()
	}
	ok := 0
	for range cap(made) {
		switch err := <-made; fault.CodeOf(err) {
		case "":
			ok++
		case fault.NotFound, fault.Conflict:
		default:
			t.Error(err)
		}
	}
	if ok != 1 {
		t.Errorf("%d made an account", ok)
	}
	_, err = m.Link(t.Context(), token)
	wants(t, err, fault.NotFound)
}

func TestOfTwoFirstAdministratorsAtOnceThereIsOne(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	first, _, err := m.FirstAdministrator(t.Context())
	try(t, err)
	second, hash := newToken() // as a second server that starts at the same moment makes it
	role := string(runbook.Administrator)
	must(m.q.OneTimeLinkCreate(t.Context(), w, queries.OneTimeLinkCreateParams{Kind: kindFirst, TokenHash: hash, Role: &role,
		CreatedBy: "machine", CreatedAt: w.now(), ExpiresAt: w.now().Add(time.Hour)}))(t)
	tx := must(w.Begin(t.Context()))(t)
	defer tx.Rollback(context.Background())                            // or a failure here would wait for the pool for ever
	must(tx.Exec(t.Context(), "LOCK TABLE app_user IN SHARE MODE"))(t) // may be read, but nobody added
	done := make(chan error, 2)
	for _, c := range []struct{ token, email string }{{first, "ada@example.org"}, {second, "grace@example.org"}} {
		go func() {
			done <- newGuest(m).visit(func(ctx context.Context) error { return m.SignUp(ctx, c.token, c.email, "Somebody", password) })
		}()
	}
	untilWaiting(t, tx, 2) // each has seen that there is no administrator
	try(t, tx.Rollback(t.Context()))
	one, other := <-done, <-done
	if one != nil {
		one, other = other, one
	}
	try(t, one)
	wants(t, other, fault.Conflict)
	_, _, err = m.FirstAdministrator(t.Context())
	wants(t, err, fault.Conflict)
}

func TestLinksEndWithTimeUseAndWithdrawal(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Administrator)
	old, _, err := m.FirstAdministrator(t.Context())
	wants(t, err, fault.Conflict)
	reset := func() string {
		token, _, err := m.ResetLink(t.Context(), Machine(), ada.ID, "")
		try(t, err)
		return token
	}
	over := func(token string) {
		t.Helper()
		_, err := m.Link(t.Context(), token)
		wants(t, err, fault.NotFound)
	}
	over(old)
	one := reset()
	two := reset() // takes the place of the first
	over(one)
	try(t, newGuest(m).visit(func(ctx context.Context) error {
		_, err := m.ResetPassword(ctx, two, "an entirely new phrase")
		return err
	}))
	over(two)
	three := reset()
	w.pass(resetFor)
	over(three)
	four := reset()
	l := must(m.Link(t.Context(), four))(t)
	try(t, m.WithdrawLink(t.Context(), ada, l.ID, "sent to the wrong person"))
	over(four)
	wants(t, newGuest(m).visit(func(ctx context.Context) error { return m.SignUp(ctx, reset(), "x@example.org", "X", password) }), fault.NotFound)
}

// untilWaiting polls, for PostgreSQL tells nobody that a session began to wait: for so many that wait
// for a table.
func untilWaiting(t *testing.T, tx queries.DBTX, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), changeLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waiting := 0; waiting != want; <-tick.C {
		err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'app_user'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		if err != nil {
			t.Fatalf("until %d wait: %v", want, err)
		}
	}
}
