package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/views/account"
	"weir/views/layout"
	"weir/views/ui"
)

func (w *Web) accountPages(see seeing, do doing) {
	see("/account", func(a *asked) (made, error) { return w.profile(a, account.Profile{}, 0) })
	do("/account/name", w.setName)
	do("/account/sessions/end", w.endSessions)
	do("/account/sessions/{id}/end", w.endSession)
	see("/account/password", func(a *asked) (made, error) {
		return w.mine(a, "Password", account.PasswordForm(account.Password{Email: a.viewerEmail()}), 0)
	})
	do("/account/password", w.changePassword)
	for _, step := range []account.Step{account.Begin, account.Remove, account.Renew} {
		see(step.URL(), func(a *asked) (made, error) {
			return w.mine(a, "Second factor", account.ProofForm(account.Proof{Email: a.viewerEmail(), Step: step}), 0)
		})
	}
	do(account.Begin.URL(), w.beginSecondFactor)
	do("/account/second-factor/confirm", w.confirmSecondFactor)
	do(account.Remove.URL(), w.removeSecondFactor)
	do(account.Renew.URL(), w.renewCodes)
	see("/account/tokens/new", func(a *asked) (made, error) { return w.tokenForm(a, account.TokenForm{}, 0) })
	do("/account/tokens/new", w.createToken)
	see("/account/tokens/{id}/revoke", func(a *asked) (made, error) { return w.revocation(a, nil, 0) })
	do("/account/tokens/{id}/revoke", w.revokeToken)
}

// mine is a page for whoever is signed in.
func (w *Web) mine(a *asked, title string, content templ.Component, status int) (made, error) {
	return made{title: title, section: layout.Account, content: content, status: status}, a.needs(runbook.Viewer)
}

// again shows a form once more, with what was wrong.
func (w *Web) again(rw http.ResponseWriter, a *asked, m made, err error) error {
	if err == nil {
		w.show(rw, a, m)
	}
	return err
}

const listShown = 100

func (w *Web) profile(a *asked, p account.Profile, status int) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	me := &noun.Viewer{Actor: a.viewer.Actor, Email: a.viewer.Email, Session: a.viewer.Session, Operations: a.viewer.Operations}
	p.Clock, p.Email, p.Role = a.clock, a.viewer.Email, layout.Role(a.viewer.Role)
	u, err := w.Who.User(ctx, me)
	if err == nil && u != nil {
		p.SecondFactor = u.SecondFactor()
		if p.Faults == nil {
			p.Name = u.Name
		}
	}
	size := listShown
	sessions, err := w.Who.Sessions(ctx, me, &size, nil, nil, nil)
	p.Sessions.Missing = a.missing(err)
	if sessions != nil {
		for _, e := range sessions.Edges {
			p.Sessions.List = append(p.Sessions.List, sessionOf(e.Node, a))
		}
	}
	p.Tokens = w.ownTokens(a, u)
	return made{title: "Account", section: layout.Account, content: account.Content(p), status: status}, nil
}

func (w *Web) ownTokens(a *asked, u *noun.User) account.Tokens {
	if err := a.needs(runbook.Administrator); err != nil {
		return account.Tokens{Missing: ui.Missing{Role: string(runbook.Administrator)}}
	}
	if u == nil {
		return account.Tokens{Missing: a.missing(fault.Errorf(fault.Unavailable, "The accounts are out of reach."))}
	}
	ctx, cancel := a.limited()
	defer cancel()
	id, size := u.ID(), listShown
	list, err := w.Query.Tokens(ctx, &id, &size, nil, nil, nil)
	out := account.Tokens{Missing: a.missing(err)}
	if list != nil {
		for _, e := range list.Edges {
			out.List = append(out.List, tokenOf(e.Node))
		}
	}
	return out
}

func sessionOf(s noun.Session, a *asked) account.Session {
	return account.Session{ID: s.ID(), Here: a.viewer.Session == s.Session.ID, Address: or(s.Address()), UserAgent: s.UserAgent, CreatedAt: s.CreatedAt,
		LastSeen: s.LastSeenAt, ExpiresAt: s.ExpiresAt}
}

func tokenOf(t noun.Token) account.Token {
	return account.Token{ID: t.ID(), Name: t.Name, Prefix: t.Prefix, Role: layout.Role(t.Role), Operations: t.Operations, CreatedBy: t.CreatedBy,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsed: or(t.LastUsedAt), RevokedAt: or(t.RevokedAt)}
}

func (w *Web) setName(rw http.ResponseWriter, a *asked) error {
	name := a.PostFormValue("name")
	p, err := w.Mutation.SetName(a.Context(), name)
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.profile(a, account.Profile{Name: name, Faults: faults(p.UserErrors)}, refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	w.send(rw, a, "/account", &ui.Notice{State: ui.OK, Title: "Your name is " + name + " now."})
	return nil
}

const ownSession = "ended by its owner"

func (w *Web) endSession(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.EndSession(a.Context(), a.PathValue("id"), ownSession)
	if err != nil {
		return err
	}
	w.send(rw, a, local(a.PostFormValue("back")), doneNotice(p.UserErrors, "The session is ended."))
	return nil
}

func (w *Web) endSessions(rw http.ResponseWriter, a *asked) error {
	if err := a.needs(runbook.Viewer); err != nil {
		return err
	}
	p, err := w.Mutation.EndSessions(a.Context(), noun.ID(noun.UserKind, strconv.FormatInt(a.viewer.ID, 10)), ownSession)
	if err != nil {
		return err
	}
	w.send(rw, a, "/account", doneNotice(p.UserErrors, "All your other sessions are ended."))
	return nil
}

// doneNotice is what came of something that has no page of its own.
func doneNotice(wrong []noun.UserError, done string) *ui.Notice {
	if len(wrong) == 0 {
		return &ui.Notice{State: ui.OK, Title: done}
	}
	n := &ui.Notice{State: ui.Warning, Title: "That was not done."}
	for _, e := range wrong {
		n.Lines = append(n.Lines, e.Message)
	}
	return n
}

func (w *Web) changePassword(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.ChangePassword(a.Context(), a.PostFormValue("old"), a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.mine(a, "Password", account.PasswordForm(account.Password{Email: a.viewerEmail(), Faults: faults(p.UserErrors)}), refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	w.send(rw, a, "/account", &ui.Notice{State: ui.OK, Title: "Your password is changed.", Lines: []string{"All your other sessions are ended."}})
	return nil
}

func (w *Web) proof(rw http.ResponseWriter, a *asked, step account.Step, wrong []noun.UserError) error {
	m, err := w.mine(a, "Second factor", account.ProofForm(account.Proof{Email: a.viewerEmail(), Step: step, Faults: faults(wrong)}), refusedWith(wrong))
	return w.again(rw, a, m, err)
}

func (w *Web) beginSecondFactor(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.BeginSecondFactor(a.Context(), a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		return w.proof(rw, a, account.Begin, p.UserErrors)
	}
	m, err := w.mine(a, "Second factor", account.EnrolmentForm(account.Enrolment{Secret: or(p.Secret), URL: or(p.URL)}), 0)
	return w.again(rw, a, m, err)
}

func (w *Web) confirmSecondFactor(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.ConfirmSecondFactor(a.Context(), a.PostFormValue("code"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.mine(a, "Second factor", account.EnrolmentForm(account.Enrolment{Faults: faults(p.UserErrors)}), refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	return w.showCodes(rw, a, p.RecoveryCodes)
}

func (w *Web) showCodes(rw http.ResponseWriter, a *asked, codes []string) error {
	m, err := w.mine(a, "Recovery codes", account.CodesShown(account.Codes{Codes: codes}), 0)
	return w.again(rw, a, m, err)
}

func (w *Web) removeSecondFactor(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.RemoveSecondFactor(a.Context(), a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		return w.proof(rw, a, account.Remove, p.UserErrors)
	}
	w.send(rw, a, "/account", &ui.Notice{State: ui.OK, Title: "The second factor is removed."})
	return nil
}

func (w *Web) renewCodes(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.RenewRecoveryCodes(a.Context(), a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		return w.proof(rw, a, account.Renew, p.UserErrors)
	}
	return w.showCodes(rw, a, p.RecoveryCodes)
}

func (w *Web) tokenForm(a *asked, f account.TokenForm, status int) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return made{}, err
	}
	f.Roles = []layout.Role{layout.SeesOnly, layout.Operator, layout.Administrator}
	return w.mine(a, "New token", account.TokenNew(f), status)
}

func (w *Web) createToken(rw http.ResponseWriter, a *asked) error {
	f := account.TokenForm{Name: a.PostFormValue("name"), Role: a.PostFormValue("role"), For: a.PostFormValue("for"), Operations: a.PostFormValue("operations")}
	good, err := noun.UnmarshalDuration(f.For)
	var p *noun.TokenPayload
	if err != nil {
		field := "for"
		p = &noun.TokenPayload{UserErrors: []noun.UserError{{Field: &field, Message: fault.MessageOf(err), Code: string(fault.Invalid)}}}
	} else if p, err = w.Mutation.CreateToken(a.Context(), f.Name, f.Role, good, operations(f.Operations)); err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		f.Faults = faults(p.UserErrors)
		m, err := w.tokenForm(a, f, refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	m, err := w.mine(a, "New token", account.TokenMade(account.Made{Secret: or(p.Secret), Token: tokenOf(*p.Token), Clock: a.clock}), 0)
	return w.again(rw, a, m, err)
}

// operations are those that a token is pinned to, a line each; nil is all.
func operations(lines string) (out []string) {
	for line := range strings.Lines(lines) {
		if name := strings.TrimSpace(line); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func (w *Web) revocation(a *asked, wrong []noun.UserError, status int) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return made{}, err
	}
	n, err := w.Query.Node(a.Context(), a.PathValue("id"))
	if err != nil {
		return made{}, err
	}
	t, ok := n.(noun.Token)
	if !ok {
		return made{}, fault.Errorf(fault.NotFound, "There is no such token.")
	}
	r := account.Revocation{Token: tokenOf(t), Back: local(a.FormValue("back")), Verdict: ui.Verdict{Text: a.FormValue("reason"), Faults: faults(wrong), Clock: a.clock}}
	if a.FormValue("back") == "" {
		r.Back = string(layout.Account)
	}
	return w.mine(a, "Revoke a token", ui.ConfirmForm(r.Confirm()), status)
}

func (w *Web) revokeToken(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.RevokeToken(a.Context(), a.PathValue("id"), a.PostFormValue("reason"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.revocation(a, p.UserErrors, refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	w.send(rw, a, local(a.PostFormValue("back")), &ui.Notice{State: ui.OK, Title: "The token is revoked."})
	return nil
}

// viewerEmail is "" where nobody is signed in, who gets to see none of it.
func (a *asked) viewerEmail() string {
	if a.viewer == nil {
		return ""
	}
	return a.viewer.Email
}
