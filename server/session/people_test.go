package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
)

func TestOnlyAdministratorsAdministerAndARefusalIsWrittenDown(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ctx := t.Context()
	_, victim := member(t, m, "victim@example.org", runbook.Viewer)
	_, viewer := member(t, m, "viewer@example.org", runbook.Viewer)
	_, operator := member(t, m, "operator@example.org", runbook.Operator)
	token := must(bearing(m, mustToken(t, m, runbook.Operator)).viewer())(t).Actor
	verbs := map[string]func(by runbook.Actor) error{
		"invite": func(by runbook.Actor) error {
			_, _, err := m.Invite(ctx, by, "new@example.org", runbook.Viewer)
			return err
		},
		"password-reset-link": func(by runbook.Actor) error { _, _, err := m.ResetLink(ctx, by, victim.ID, ""); return err },
		"link-withdraw":       func(by runbook.Actor) error { return m.WithdrawLink(ctx, by, 1, "") },
		"role":                func(by runbook.Actor) error { return m.SetRole(ctx, by, victim.ID, runbook.Operator, "") },
		"disable":             func(by runbook.Actor) error { return m.Disable(ctx, by, victim.ID, "") },
		"enable":              func(by runbook.Actor) error { return m.Enable(ctx, by, victim.ID, "") },
		"second-factor-off":   func(by runbook.Actor) error { return m.ClearTOTP(ctx, by, victim.ID, "") },
		"sessions-end":        func(by runbook.Actor) error { return m.EndSessions(ctx, by, victim.ID, "") },
		"token-create": func(by runbook.Actor) error {
			_, _, err := m.CreateToken(ctx, by, "n", runbook.Viewer, time.Hour, nil)
			return err
		},
		"token-revoke": func(by runbook.Actor) error { return m.RevokeToken(ctx, by, 1, "") },
	}
	for verb, do := range verbs {
		for _, by := range []runbook.Actor{viewer, operator, token} {
			before := len(w.audit())
			if err := do(by); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("%s by %s: %v", verb, by.Name, err)
			}
			entries := w.audit()[before:]
			if len(entries) != 1 || entries[0].Verb != verb || entries[0].Outcome != "refused" || entries[0].ActorName != by.Name {
				t.Errorf("%s by %s: the audit says %+v", verb, by.Name, entries)
			}
		}
		for _, by := range []runbook.Actor{{}, {Kind: runbook.User, Role: runbook.Administrator, Name: "no id"}, {Kind: runbook.User, ID: 1, Name: "no role"}} {
			if err := do(by); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("%s by %+v: %v", verb, by, err)
			}
		}
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Administrator)
	wants(t, m.Disable(t.Context(), ada, ada.ID, ""), fault.Refused)
	wants(t, m.SetRole(t.Context(), ada, ada.ID, runbook.Viewer, ""), fault.Refused)
	_, grace := member(t, m, "grace@example.org", runbook.Administrator)
	done := make(chan error, 2) // both at once: one stays
	go func() { done <- m.Disable(t.Context(), ada, grace.ID, "") }()
	go func() { done <- m.Disable(t.Context(), grace, ada.ID, "") }()
	one, other := <-done, <-done
	if one != nil {
		one, other = other, one
	}
	try(t, one)
	wants(t, other, fault.Refused)
}

func TestADisabledPersonComesBackOnlyWhenEnabled(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Viewer)
	reset, _, err := m.ResetLink(t.Context(), Machine(), ada.ID, "")
	try(t, err)
	try(t, m.Disable(t.Context(), Machine(), ada.ID, "left"))
	_, err = m.Link(t.Context(), reset)
	wants(t, err, fault.NotFound)
	_, _, err = m.ResetLink(t.Context(), Machine(), ada.ID, "")
	wants(t, err, fault.Refused)
	_, err = newGuest(m).signIn("ada@example.org", password)
	wants(t, err, fault.Unauthenticated)
	try(t, m.Enable(t.Context(), Machine(), ada.ID, "came back"))
	must(newGuest(m).signIn("ada@example.org", password))(t)
}

func TestEveryAccountChangeIsWrittenDownWithWhoWhatWhyAndOutcome(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	ctx := t.Context()
	token, _, err := m.FirstAdministrator(ctx)
	try(t, err)
	root := newGuest(m)
	try(t, root.visit(func(ctx context.Context) error { return m.SignUp(ctx, token, "Root@example.org", "Root", password) }))
	by := must(root.viewer())(t).Actor
	ada, actor := member(t, m, "ada@example.org", runbook.Viewer)
	withTOTP(t, ada)
	try(t, ada.visit(func(ctx context.Context) error { return m.SetName(ctx, "Ada L.") }))
	try(t, ada.visit(func(ctx context.Context) error { return m.ChangePassword(ctx, password, "an entirely new phrase") }))
	try(t, ada.visit(m.SignOut))
	try(t, m.ClearTOTP(ctx, by, actor.ID, "lost the phone"))
	try(t, m.SetRole(ctx, by, actor.ID, runbook.Operator, "on call now"))
	_, row, err := m.CreateToken(ctx, by, "ci", runbook.Viewer, time.Hour, nil)
	try(t, err)
	try(t, m.RevokeToken(ctx, by, row.ID, "leaked"))
	newGuest(m).signIn("ada@example.org", "a guess")
	wants(t, m.Disable(ctx, by, by.ID, "a mistake"), fault.Refused)
	try(t, m.Disable(ctx, by, actor.ID, "left"))
	var got []string
	for _, e := range w.audit() {
		got = append(got, fmt.Sprintf("%s %s | %s %s | %s | %s", e.ActorKind, e.ActorName, e.Verb, e.Subject, e.Reason, e.Outcome))
	}
	want := []string{
		"system machine | first-administrator-link  |  | ok",
		"user root@example.org | sign-up root@example.org |  | ok",
		"user root@example.org | sign-in root@example.org |  | ok",
		"system machine | invite ada@example.org |  | ok",
		"user ada@example.org | sign-up ada@example.org |  | ok",
		"user ada@example.org | sign-in ada@example.org |  | ok",
		"user ada@example.org | second-factor-on ada@example.org |  | ok",
		"user ada@example.org | name ada@example.org |  | ok",
		"user ada@example.org | password-change ada@example.org |  | ok",
		"user ada@example.org | sign-out ada@example.org |  | ok",
		"user root@example.org | second-factor-off ada@example.org | lost the phone | ok",
		"user root@example.org | role ada@example.org | on call now | ok",
		"user root@example.org | token-create ci |  | ok",
		"user root@example.org | token-revoke ci | leaked | ok",
		"system not signed in | sign-in ada@example.org |  | refused",
		"user root@example.org | disable root@example.org | a mistake | refused",
		"user root@example.org | disable ada@example.org | left | ok",
	}
	slices.Sort(got) // rows of one moment have no other order
	slices.Sort(want)
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("the audit says\n%s\nwant\n%s", g, w)
	}
}

func TestAChangeWithoutItsAuditEntryDoesNotHappen(t *testing.T) {
	w := newWorld(t)
	m := w.server()
	_, ada := member(t, m, "ada@example.org", runbook.Viewer)
	m.NewID = func() string { return "not a uuid" } // so that PostgreSQL refuses the entry
	if err := m.SetRole(t.Context(), Machine(), ada.ID, runbook.Operator, ""); err == nil {
		t.Error("it answered that all is well")
	}
	if u := must(m.q.UserGet(t.Context(), w, ada.ID))(t); u.Role != "viewer" {
		t.Errorf("the role became %s, and nobody wrote down why", u.Role)
	}
}
