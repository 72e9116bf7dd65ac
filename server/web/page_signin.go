package web

import (
	"net/http"
	"net/url"

	"github.com/a-h/templ"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/views/account"
	"weir/views/ui"
)

// signInPages are those for somebody who is not signed in, and the way out.
func (w *Web) signInPages(see seeing, do doing) {
	see("/sign-in", w.signInPage)
	do("/sign-in", w.signIn)
	see("/sign-in/code", w.codePage)
	do("/sign-in/code", w.signInCode)
	see("/invitation/{token}", w.invitationPage)
	do("/invitation/{token}", w.signUp)
	see("/reset/{token}", w.resetPage)
	do("/reset/{token}", w.reset)
	do("/sign-out", w.signOut)
}

func gate(title string, content templ.Component, status int) made {
	return made{title: title, content: content, gate: true, status: status}
}

func (w *Web) signInPage(a *asked) (made, error) {
	return w.signInForm(a, account.SignIn{Next: a.URL.Query().Get("next")}, 0), nil
}

func (w *Web) signInForm(a *asked, m account.SignIn, status int) made {
	_, m.Away = a.away()
	return gate("Sign in", account.SignInForm(m), status)
}

// refusedWith is the status of a form that was sent in vain.
func refusedWith(errs []noun.UserError) int {
	if status := statuses[fault.Code(errs[0].Code)]; status >= 429 {
		return status
	}
	return http.StatusUnprocessableEntity
}

func (w *Web) signIn(rw http.ResponseWriter, a *asked) error {
	email, next := a.PostFormValue("email"), a.PostFormValue("next")
	p, err := w.Mutation.SignIn(a.Context(), email, a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		w.show(rw, a, w.signInForm(a, account.SignIn{Email: email, Next: next, Faults: faults(p.UserErrors)}, refusedWith(p.UserErrors)))
		return nil
	}
	w.entered(rw, a, p, next)
	return nil
}

// entered leads on after a sign-in, over the second factor where there is one.
func (w *Web) entered(rw http.ResponseWriter, a *asked, p *noun.AccountPayload, next string) {
	to := local(next)
	if p.CodeOwed {
		to = "/sign-in/code?next=" + url.QueryEscape(to)
	}
	w.send(rw, a, to, nil)
}

func (w *Web) codePage(a *asked) (made, error) {
	return gate("Second factor", account.CodeForm(account.Code{Next: a.URL.Query().Get("next")}), 0), nil
}

func (w *Web) signInCode(rw http.ResponseWriter, a *asked) error {
	next := a.PostFormValue("next")
	p, err := w.Mutation.SignInCode(a.Context(), a.PostFormValue("code"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		w.show(rw, a, gate("Second factor", account.CodeForm(account.Code{Next: next, Faults: faults(p.UserErrors)}), refusedWith(p.UserErrors)))
		return nil
	}
	w.entered(rw, a, p, next)
	return nil
}

func (w *Web) invitationPage(a *asked) (made, error) {
	return w.invitationForm(a, account.Invitation{}, 0)
}

func (w *Web) invitationForm(a *asked, m account.Invitation, status int) (made, error) {
	m.Token = a.PathValue("token")
	l, err := w.Sessions.Link(a.Context(), m.Token)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		m.Over, status = fault.MessageOf(err), http.StatusNotFound
	case err != nil:
		return made{}, err
	case l.UserID != nil:
		m.Over, status = "This link is for a new password, not for a new account.", http.StatusNotFound
	default:
		m.First = l.Email == nil
		if l.Email != nil {
			m.Email = *l.Email
		}
		if l.Role != nil {
			m.Role = *l.Role
		}
	}
	return gate("Make your account", account.InvitationForm(m), status), nil
}

func (w *Web) signUp(rw http.ResponseWriter, a *asked) error {
	email, name := a.PostFormValue("email"), a.PostFormValue("name")
	p, err := w.Mutation.SignUp(a.Context(), a.PathValue("token"), email, name, a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.invitationForm(a, account.Invitation{Email: email, Name: name, Faults: faults(p.UserErrors)}, refusedWith(p.UserErrors))
		if err == nil {
			w.show(rw, a, m)
		}
		return err
	}
	w.send(rw, a, "/", &ui.Notice{State: ui.OK, Title: "Welcome, " + name + ".", Lines: []string{"Turn on a second factor under Account: it keeps your account safe when somebody learns your password."}})
	return nil
}

func (w *Web) resetPage(a *asked) (made, error) { return w.resetForm(a, nil, 0) }

func (w *Web) resetForm(a *asked, f ui.Faults, status int) (made, error) {
	m := account.Reset{Token: a.PathValue("token"), Faults: f}
	l, err := w.Sessions.Link(a.Context(), m.Token)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		m.Over, status = fault.MessageOf(err), http.StatusNotFound
	case err != nil:
		return made{}, err
	case l.UserID == nil:
		m.Over, status = "This link is for a new account, not for a new password.", http.StatusNotFound
	}
	return gate("New password", account.ResetForm(m), status), nil
}

func (w *Web) reset(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.ResetPassword(a.Context(), a.PathValue("token"), a.PostFormValue("password"))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		m, err := w.resetForm(a, faults(p.UserErrors), refusedWith(p.UserErrors))
		if err == nil {
			w.show(rw, a, m)
		}
		return err
	}
	w.entered(rw, a, p, "/")
	return nil
}

func (w *Web) signOut(rw http.ResponseWriter, a *asked) error {
	if _, err := w.Mutation.SignOut(a.Context()); err != nil {
		return err
	}
	w.send(rw, a, "/sign-in", nil)
	return nil
}
