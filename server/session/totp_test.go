package session

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"weir/ops/fault"
	"weir/ops/runbook"
)

func newCookie(name, value string) *http.Cookie { return &http.Cookie{Name: name, Value: value} }

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	return must(totp.GenerateCode(secret, at))(t)
}

// withTOTP sets a second factor up and answers its secret.
func withTOTP(t *testing.T, g *guest) (secret string) {
	t.Helper()
	try(t, g.visit(func(ctx context.Context) (err error) {
		secret, _, err = g.m.BeginTOTP(ctx, password)
		return err
	}))
	try(t, g.visit(func(ctx context.Context) error {
		_, err := g.m.ConfirmTOTP(ctx, codeAt(t, secret, g.m.Now()))
		return err
	}))
	return secret
}

func TestACodeWorksOnceAndOneStepEitherWay(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	secret := withTOTP(t, ada)
	w.pass(10 * time.Minute)
	for _, c := range []struct {
		sentence string
		offset   time.Duration
		code     fault.Code
	}{
		{"two steps old", -60 * time.Second, fault.Invalid},
		{"one step old", -30 * time.Second, ""},
		{"the same again", -30 * time.Second, fault.Invalid},
		{"of now", 0, ""},
		{"of one step ago, after one of now", -30 * time.Second, fault.Invalid},
		{"a clock that is ahead by a step", 30 * time.Second, ""},
		{"a clock that is ahead by two", 60 * time.Second, fault.Invalid},
	} {
		g := newGuest(m)
		codeOwed, err := g.signIn("ada@example.org", password)
		if err != nil || !codeOwed {
			t.Fatalf("%s: owed %v, %v", c.sentence, codeOwed, err)
		}
		if _, err := g.viewer(); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: signed in by the password alone", c.sentence)
		}
		if err := g.enterCode(codeAt(t, secret, w.now().Add(c.offset))); fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.sentence, err)
		}
		if _, err := g.viewer(); (err == nil) != (c.code == "") {
			t.Errorf("%s: afterwards %v", c.sentence, err)
		}
		try(t, m.forgive(t.Context(), w, accountKey("ada@example.org"))) // the attempts are not what is tested
	}
}

func TestARecoveryCodeOpensOnceAndNewOnesReplaceTheOld(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	withTOTP(t, ada)
	renew := func() (codes []string) {
		try(t, ada.visit(func(ctx context.Context) (err error) {
			codes, err = m.NewRecoveryCodes(ctx, password)
			return err
		}))
		return codes
	}
	old, codes := renew(), renew()
	if len(codes) != recoveryCodes {
		t.Fatalf("%d codes", len(codes))
	}
	g := newGuest(m)
	use := func(code string) error {
		_, err := g.signIn("ada@example.org", password)
		try(t, err)
		return g.enterCode(code)
	}
	wants(t, use(old[0]), fault.Invalid)
	wants(t, use(codes[0]), "")
	wants(t, use(codes[0]), fault.Invalid)
	wants(t, use(codes[1]), "")
}

func TestCodesAreThrottledAlsoForWhoHasThePassword(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	secret := withTOTP(t, ada)
	thief, guesses := ada.at(m), 0 // a known device even
	for range 20 {
		if _, err := thief.signIn("ada@example.org", password); err != nil {
			break
		}
		if err := thief.enterCode("000000"); fault.CodeOf(err) == fault.Invalid {
			guesses++
		}
	}
	if guesses != 6 {
		t.Errorf("%d guesses, want 6", guesses)
	}
	wants(t, thief.enterCode(codeAt(t, secret, w.now())), fault.RateLimited)
}

func TestAPasswordWithoutItsCodeIsForgottenAfterAWhile(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, _ := member(t, m, "ada@example.org", runbook.Operator)
	secret := withTOTP(t, ada)
	g := newGuest(m)
	_, err := g.signIn("ada@example.org", password)
	try(t, err)
	w.pass(CodeTimeout)
	wants(t, g.enterCode(codeAt(t, secret, w.now())), fault.Unauthenticated)
}

func TestASecondFactorNeedsThePasswordAndACodeToBeSetUp(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ada, actor := member(t, m, "ada@example.org", runbook.Operator)
	wants(t, ada.visit(func(ctx context.Context) error { _, _, err := m.BeginTOTP(ctx, "not her password"); return err }), fault.Invalid)
	wants(t, ada.visit(func(ctx context.Context) error { _, err := m.ConfirmTOTP(ctx, "123456"); return err }), fault.Conflict)
	var secret string
	try(t, ada.visit(func(ctx context.Context) (err error) { secret, _, err = m.BeginTOTP(ctx, password); return err }))
	wants(t, ada.visit(func(ctx context.Context) error {
		_, err := m.ConfirmTOTP(ctx, codeAt(t, secret, w.now().Add(time.Hour)))
		return err
	}), fault.Invalid)
	if codeOwed := must(newGuest(m).signIn("ada@example.org", password))(t); codeOwed {
		t.Error("a second factor that was never confirmed is asked for")
	}
	withTOTP(t, ada)
	try(t, m.ClearTOTP(t.Context(), Machine(), actor.ID, "lost the phone"))
	if codeOwed := must(newGuest(m).signIn("ada@example.org", password))(t); codeOwed {
		t.Error("the second factor was cleared, and is asked for")
	}
}
