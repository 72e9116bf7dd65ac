// Package account is a person's own pages. Those of this file are for somebody who is not signed in:
// they stand in layout.Gate, and every form is at its own URL.
package account

import (
	"weir/views/ui"
)

// SignIn is the page /sign-in. Fields: email, password, next.
type SignIn struct {
	Email  string // as entered
	Next   string // local path to go to afterwards
	Faults ui.Faults
	// Away says that PostgreSQL, which has the accounts, is out of reach: nobody can sign in now.
	Away bool
}

// Code is the page /sign-in/code. Fields: code, next.
type Code struct {
	Next   string
	Faults ui.Faults
}

// Invitation is the page /invitation/TOKEN, on which an account is made. Fields: email (of the first
// administrator only), name, password.
type Invitation struct {
	Token  string
	First  bool // the first administrator: chooses the address
	Email  string
	Name   string
	Role   string // of the account
	Faults ui.Faults
	// Over says why the link no longer works; "" is that it works.
	Over string
}

// Reset is the page /reset/TOKEN. Field: password.
type Reset struct {
	Token  string
	Faults ui.Faults
	Over   string // as in Invitation
}

const passwordHint = "At least 12 characters. A few words that do not belong together are easy to remember."

func (s SignIn) email() ui.Input {
	return ui.Input{Name: "email", Label: "E-mail address", Type: "email", Value: s.Email, Wrong: s.Faults.Of("email"),
		Autocomplete: "username", Required: true, Focus: s.Email == ""}
}

func (s SignIn) password() ui.Input {
	return ui.Input{Name: "password", Label: "Password", Type: "password", Wrong: s.Faults.Of("password"),
		Autocomplete: "current-password", Required: true, Focus: s.Email != ""}
}

func (c Code) code() ui.Input {
	return ui.Input{Name: "code", Label: "Code", Wrong: c.Faults.Of("code"), Autocomplete: "one-time-code", Required: true, Focus: true,
		Hint: "Six digits from your app, or one of your recovery codes."}
}

func (i Invitation) email() ui.Input {
	return ui.Input{Name: "email", Label: "E-mail address", Type: "email", Value: i.Email, Wrong: i.Faults.Of("email"),
		Autocomplete: "username", Required: true, Focus: true, Hint: "You sign in with it."}
}

func (i Invitation) name() ui.Input {
	return ui.Input{Name: "name", Label: "Name", Value: i.Name, Wrong: i.Faults.Of("name"), Autocomplete: "name", Required: true,
		Focus: !i.First, Max: 100, Hint: "Shown in the list of people."}
}

func newPassword(f ui.Faults, focus bool) ui.Input {
	return ui.Input{Name: "password", Label: "New password", Type: "password", Wrong: f.Of("password"), Autocomplete: "new-password",
		Required: true, Min: 12, Max: 256, Hint: passwordHint, Focus: focus}
}
