package account_test

import (
	"strings"
	"testing"

	"github.com/a-h/templ"

	"weir/views/account"
	"weir/views/golden"
	"weir/views/ui"
)

func TestThePagesInFrontOfTheConsoleAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for name, page := range map[string]templ.Component{
		"sign-in":          account.SignInForm(account.SignIn{Email: "ada@example.org", Next: "/poolers", Faults: ui.Faults{{Message: "The address or the password is wrong."}}}),
		"sign-in-away":     account.SignInForm(account.SignIn{Away: true}),
		"code":             account.CodeForm(account.Code{Faults: ui.Faults{{Field: "code", Message: "This code is wrong, or was used before."}}}),
		"invitation-first": account.InvitationForm(account.Invitation{Token: "T", First: true}),
		"invitation":       account.InvitationForm(account.Invitation{Token: "T", Email: "grace@example.org", Role: "operator"}),
		"invitation-over":  account.InvitationForm(account.Invitation{Over: "This link was used already or is too old. Ask for another."}),
		"reset":            account.ResetForm(account.Reset{Token: "T"}),
	} {
		golden.HTML(t, name, page)
		golden.Plain(t, page)
	}
}

func TestAPasswordIsNeverWrittenBack(t *testing.T) {
	html := golden.Render(t, account.SignInForm(account.SignIn{Email: "ada@example.org"}))
	if !strings.Contains(html, `type="password" value=""`) {
		t.Error(html)
	}
}
