package account_test

import (
	"strings"
	"testing"

	"weir/views/account"
	"weir/views/golden"
	"weir/views/story"
)

func TestThePagesOfAnAccountAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "account") {
			golden.HTML(t, s.Name, s.Content)
			golden.Plain(t, s.Content)
		}
	}
}

func TestTheSessionThatAsksIsNotOfferedToEndItself(t *testing.T) {
	html := golden.Render(t, account.Content(story.Profile()))
	if strings.Contains(html, account.EndURL("1")) || !strings.Contains(html, account.EndURL("2")) {
		t.Error("the wrong sessions can be ended")
	}
}

func TestASecretIsOnNoPageAfterAWrongCode(t *testing.T) {
	e := story.Enrolment()
	if html := golden.Render(t, account.EnrolmentForm(e)); !strings.Contains(html, "JBSW Y3DP") || !strings.Contains(html, "<svg class=\"qr\"") {
		t.Error("the secret is not shown")
	}
	e.Secret = ""
	if html := golden.Render(t, account.EnrolmentForm(e)); strings.Contains(html, "JBSW") || strings.Contains(html, "<svg class=\"qr\"") {
		t.Error("the secret is shown")
	}
}

func TestAnEndedTokenCannotBeRevokedAgain(t *testing.T) {
	html := golden.Render(t, account.Content(story.Profile()))
	if strings.Contains(html, account.RevokeURL("3")) || !strings.Contains(html, account.RevokeURL("1")) {
		t.Error("the wrong tokens can be revoked")
	}
}

func TestABrowserIsNamedForPeople(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                        "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36":                  "Chrome on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15":         "Safari on macOS",
		"curl/8.14.1": "curl",
		"lynx":        "lynx",
		"":            "unknown browser",
	} {
		if got := (account.Session{UserAgent: agent}).Browser(); got != want {
			t.Errorf("%s is %s, want %s", agent, got, want)
		}
	}
}
