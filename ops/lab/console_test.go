package lab_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp/totp"

	"weir/ops/inventory"
	"weir/ops/lab"
)

const (
	adminEmail    = "ada@example.org"
	adminPassword = "seven drowsy weirs at dusk"
)

// site is a lab with its console, and the browser of its first administrator.
type site struct {
	*world
	home    string // http://127.0.0.1:40123
	browser context.Context
	admin   *tab

	signedUp   bool
	recovery   []string // codes of the administrator
	incident   string   // the path of one
	invitation string   // the path of one that nobody used
	reset      string   // the path of a link for a new password
	seen       []string // addresses of all pages
}

// TestConsole uses the console of one lab as people do: with a browser, from the first link on. The
// parts go on from each other.
func TestConsole(t *testing.T) {
	s := startSite(t)
	s.admin = newTab(t, s.browser, s.home, false)
	for _, part := range []struct {
		name string
		do   func(*site, *testing.T)
	}{
		{"the first administrator signs up by the link", (*site).signUp},
		{"a wrong password is refused without a hint which was wrong", (*site).wrongPassword},
		{"a second factor is turned on, and asked for from then on", (*site).secondFactor},
		{"a recovery code signs in once", (*site).recoveryCode},
		{"a pooler is drained and made ready by keyboard alone", (*site).drainByKeyboard},
		{"a pooler is drained and made ready without a script", (*site).drainWithoutScript},
		{"the overview shows a dead pooler within 2 s, and a form stays as it is", (*site).poolerDies},
		{"an incident is acknowledged by keyboard alone", (*site).acknowledge},
		{"an incident is acknowledged without a script", (*site).acknowledgeWithoutScript},
		{"a viewer sees no order and may give none", (*site).viewerOnly},
		{"every host of the lab runs what is rendered for it", (*site).asRendered},
		{"what forms make is shown once, fits, and is accessible", (*site).byButton},
		{"every page fits, has no fault, and is accessible in both themes", (*site).everyPage},
		{"pages can be printed", (*site).onPaper},
		{"a session that is revoked elsewhere loses its stream", (*site).revoked},
		{"the console stays up while PostgreSQL is down", (*site).postgresDies},
		{"the numbers of the last while go on by themselves", (*site).historyGoesOn},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.do(s, t) }) && !s.signedUp {
			t.FailNow() // nobody can do the rest
		}
	}
}

func startSite(t *testing.T) *site {
	t.Helper()
	if err := os.RemoveAll(screenshots); err != nil {
		t.Fatal(err)
	}
	browser := startBrowser(t)
	inv := inventory.Default()
	address := freePort(t)
	s := &site{home: "http://" + address, browser: browser}
	s.world = startWorldOf(t, "console", lab.Config{Inventory: inv, Console: map[string]string{"PUBLIC_URL": s.home}, Forwards: []lab.Forward{{
		Name: "the console", Listen: address, Target: net.JoinHostPort(inv.Console.Address.String(), strconv.Itoa(inv.Console.Port))}}})
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// invite makes a link on the machine, as weir invite prints it.
func (s *site) invite(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.program, append([]string{"--home", s.lab.Home, "--lab", s.lab.Name, "invite"}, args...)...)
	var why strings.Builder
	cmd.Stderr = &why
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("weir invite: %v: %s", err, why.String())
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), s.home)
}

func (s *site) signUp(t *testing.T) {
	b := s.admin
	b.open(t, s.invite(t))
	b.fill(t, "email", adminEmail, "name", "Ada", "password", adminPassword)
	b.untilAt(t, "/")
	s.signedUp = true
	b.until(t, answerLimit, `document.querySelector("main").innerText.includes("Welcome, Ada")`)
	b.clean(t)
}

func (s *site) signOut(t *testing.T, b *tab) {
	t.Helper()
	b.clean(t)
	b.click(t, `.side form[action="/sign-out"] button`)
	b.untilAt(t, "/sign-in")
	b.takeFaults() // the stream of the page that is left may hear of it first
}

func (s *site) wrongPassword(t *testing.T) {
	b := s.admin
	s.signOut(t, b)
	refused := func(email, password string) string {
		b.open(t, "/sign-in")
		b.fill(t, "email", email, "password", password)
		b.until(t, answerLimit, `document.querySelector("main [role=alert]")`)
		return b.text(t, `document.querySelector("main [role=alert]").innerText.trim()`)
	}
	known, unknown := refused(adminEmail, "not her password at all"), refused("nobody@example.org", "not her password at all")
	t.Logf("it says: %s", known)
	if known != unknown || known == "" {
		t.Errorf("it tells which was wrong: %q for an account, %q for none", known, unknown)
	}
	b.takeFaults() // the browser notes the status
	b.open(t, "/sign-in")
	b.fill(t, "email", adminEmail, "password", adminPassword)
	b.untilAt(t, "/")
	b.clean(t)
}

func (s *site) secondFactor(t *testing.T) {
	b := s.admin
	secret := s.beginSecondFactor(t)
	code := func(at time.Time) string {
		code, err := totp.GenerateCode(secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	b.fill(t, "code", "000000")
	b.until(t, answerLimit, `document.querySelector("main .wrong")`)
	b.takeFaults() // the browser notes the status
	if b.is(t, `document.documentElement.innerHTML.includes("`+secret+`") || document.querySelector("#secret, .qr")`) {
		t.Error("a wrong code shows the secret again")
	}
	first := code(time.Now())
	b.fill(t, "code", first)
	b.until(t, answerLimit, `document.getElementById("codes")`)
	s.recovery = s.codesShownOnce(t)

	s.signOut(t, b)
	b.fill(t, "email", adminEmail, "password", adminPassword)
	b.untilAt(t, "/sign-in/code")
	b.open(t, "/poolers") // half signed in is not signed in
	b.untilAt(t, "/sign-in")
	b.fill(t, "email", adminEmail, "password", adminPassword)
	b.untilAt(t, "/sign-in/code")
	b.clean(t)
	for _, wrong := range []string{"000000", first} { // a code works once
		b.fill(t, "code", wrong)
		b.until(t, answerLimit, `document.querySelector("main .wrong, main [role=alert]") && document.querySelector("[name=code]").value === ""`)
		b.takeFaults()
	}
	b.fill(t, "code", code(time.Now().Add(30*time.Second))) // one step ahead is good too
	b.untilAt(t, "/poolers")                                // where they wanted to go
	b.clean(t)
}

// beginSecondFactor goes through the account's forms until the secret is shown.
func (s *site) beginSecondFactor(t *testing.T) (secret string) {
	t.Helper()
	b := s.admin
	b.open(t, "/account")
	b.click(t, `main a[href="/account/second-factor/begin"]`)
	b.untilAt(t, "/account/second-factor/begin")
	b.look(t, "account-second-factor-begin")
	b.fill(t, "password", "not her password at all")
	b.until(t, answerLimit, `document.querySelector("main .wrong, main [role=alert]")`)
	b.takeFaults() // the browser notes the status
	if b.is(t, `document.querySelector("#secret, .qr")`) {
		t.Error("the secret is shown without the password")
	}
	b.fill(t, "password", adminPassword)
	b.until(t, answerLimit, `document.getElementById("secret")`)
	b.look(t, "account-second-factor-secret")
	if side := ask[float64](t, b, `document.querySelector("svg.qr").getBoundingClientRect().width`); side < 150 {
		t.Errorf("the QR code is %.0f px wide", side)
	}
	secret = b.text(t, `document.getElementById("secret").textContent.replaceAll(/\s/g, "")`)
	if link := b.text(t, `document.querySelector("main a[href^='otpauth:']").href`); !strings.Contains(link, "secret="+secret) {
		t.Errorf("the secret is %q, the link to an app %q", secret, link)
	}
	return secret
}

// codesShownOnce reads the recovery codes, which neither a reload nor the account shows again.
func (s *site) codesShownOnce(t *testing.T) []string {
	t.Helper()
	b := s.admin
	codes := ask[[]string](t, b, `[...document.querySelectorAll("#codes li")].map((c) => c.textContent.trim())`)
	if len(codes) == 0 {
		t.Fatalf("there are no recovery codes%s", b.whatIsThere())
	}
	b.look(t, "account-codes")
	gone := func(where string) {
		for _, code := range codes {
			if b.is(t, `document.documentElement.innerHTML.includes("`+code+`")`) {
				t.Fatalf("%s shows a recovery code again%s", where, b.whatIsThere())
			}
		}
	}
	run(t, b, chromedp.Reload())
	b.until(t, answerLimit, `document.readyState === "complete" && document.querySelector("main h1")`)
	gone("a reload")
	b.takeFaults() // what was sent is sent again, and refused
	b.open(t, "/account")
	gone("the account")
	if !b.is(t, `document.querySelector("main a[href='/account/second-factor/remove']")`) {
		t.Errorf("the account does not say that the second factor is on%s", b.whatIsThere())
	}
	b.clean(t)
	return codes
}

// elsewhere is another browser of the administrator, which is asked for a code.
func (s *site) elsewhere(t *testing.T) *tab {
	t.Helper()
	if len(s.recovery) < 2 {
		t.Fatal("there is no code to sign in with")
	}
	b := newTab(t, s.browser, s.home, true)
	b.open(t, "/sign-in?next=/poolers")
	b.fill(t, "email", adminEmail, "password", adminPassword)
	b.untilAt(t, "/sign-in/code")
	return b
}

func (s *site) recoveryCode(t *testing.T) {
	b := s.elsewhere(t)
	b.fill(t, "code", s.recovery[0])
	b.untilAt(t, "/poolers")
	b.clean(t)
	b = s.elsewhere(t)
	b.fill(t, "code", s.recovery[0])
	b.until(t, answerLimit, `document.querySelector("main .wrong, main [role=alert]")`)
	b.open(t, "/poolers")
	b.untilAt(t, "/sign-in")
}

// orderByKeyboard gives an order to pgb1 with Tab, Enter and typing, from its page.
func (b *tab) orderByKeyboard(t *testing.T, link, reason, button, becomes string) {
	t.Helper()
	b.until(t, answerLimit, `document.querySelector("#orders a[href$='/`+strings.ToLower(link)+`']")`)
	b.tabTo(t, "a "+link)
	b.press(t, kb.Enter)
	b.untilAt(t, "/poolers/pgb1/"+strings.ToLower(link))
	b.tabTo(t, "input reason")
	b.press(t, reason)
	b.tabTo(t, "button "+button)
	b.press(t, kb.Enter)
	b.untilAt(t, "/poolers/pgb1")
	b.until(t, answerLimit, `document.querySelector("main .notice:not(.lost)").innerText.startsWith("Done: `+strings.ToLower(link)+` pgb1")`)
	b.until(t, answerLimit, `document.querySelector("#head .pill").innerText.trim() === "`+becomes+`"`)
}

func (s *site) drainByKeyboard(t *testing.T) {
	b := s.admin
	b.open(t, "/poolers/pgb1")
	b.orderByKeyboard(t, "Drain", "new kernel", "Drain pgb1", "drained")
	if err := s.poolerIs(t.Context(), "pgb1", "up", ""); err != nil {
		t.Error(err)
	}
	b.orderByKeyboard(t, "Ready", "", "Make pgb1 ready", "serves")
	b.clean(t)
}

// withoutScript is a tab of the administrator's browser in which no page's script runs.
func (s *site) withoutScript(t *testing.T) *tab {
	t.Helper()
	b := newTab(t, s.browser, s.home, false)
	command(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, "/")
	if b.is(t, `document.documentElement.dataset.stream || !document.querySelector("noscript a")`) {
		t.Fatal("scripts run")
	}
	return b
}

// reloadUntil opens a page again and again until an expression is true of it, as people do without a script.
func (b *tab) reloadUntil(t *testing.T, address, expression string) {
	t.Helper()
	for deadline := time.Now().Add(answerLimit); ; {
		if b.open(t, address); b.is(t, expression) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s%s", answerLimit, expression, b.whatIsThere())
		}
	}
}

func (s *site) drainWithoutScript(t *testing.T) {
	b := s.withoutScript(t)
	order := func(verb, becomes string) {
		b.open(t, "/poolers/pgb1")
		b.click(t, `#orders a[href$="/`+verb+`"]`)
		b.untilAt(t, "/poolers/pgb1/"+verb)
		b.fill(t, "reason", "new kernel")
		b.untilAt(t, "/poolers/pgb1")
		b.until(t, answerLimit, `document.querySelector("main .notice:not(.lost)").innerText.startsWith("Done: `+verb+` pgb1")`)
		b.reloadUntil(t, "/poolers/pgb1", `document.querySelector("#head .pill").innerText.trim() === "`+becomes+`"`)
	}
	order("drain", "drained")
	order("ready", "serves")
	b.clean(t)
}

// order is given to a process of a host of the lab.
func (s *site) order(t *testing.T, verb, host, process string) time.Time {
	t.Helper()
	at := time.Now()
	if err := s.lab.Order(t.Context(), verb, host, process, true); err != nil {
		t.Fatal(err)
	}
	return at
}

// watchTile keeps every state that the tile of pgb2 shows, with the time: what somebody sees who looks
// at the open page. Dead is what its pill says; back is that both HAProxies call it UP.
const watchTile = `(() => {
	const tile = document.getElementById("pooler-pgb2");
	window.shown = [];
	const look = () => {
		const pill = tile.querySelector(".pill").dataset.stateOf, up = tile.querySelectorAll(".views .state[data-state-of=ok]").length;
		const now = pill === "critical" ? "dead" : up === 2 ? "back" : "between";
		if (shown.at(-1)?.state !== now) shown.push({state: now, at: Date.now()});
	};
	look();
	new MutationObserver(look).observe(tile, {subtree: true, childList: true, attributes: true, characterData: true});
})()`

// shown waits until the tile is in a state, and says how long after a moment that was.
func (b *tab) shown(t *testing.T, state string, since time.Time) time.Duration {
	t.Helper()
	seen := fmt.Sprintf(`shown.find((p) => p.state === %q && p.at >= %d)`, state, since.UnixMilli())
	b.until(t, answerLimit, seen)
	return time.UnixMilli(ask[int64](t, b, seen+".at")).Sub(since)
}

const (
	kills      = 5
	showsKill  = 2 * time.Second
	showsBack  = 4 * time.Second // two checks of HAProxy are in it
	formChecks = 20
)

func (s *site) poolerDies(t *testing.T) {
	form := newTab(t, s.browser, s.home, false)
	form.open(t, "/poolers/pgb3/drain")
	form.do(t, `window.refreshes = 0, document.addEventListener("htmx:sse:after:message", () => refreshes++)`)
	form.tabTo(t, "input reason")
	form.press(t, "half a reas")
	form.do(t, `document.querySelector("[name=reason]").setSelectionRange(5, 7)`)

	b := s.admin
	b.size(t, 360)
	b.open(t, "/")
	b.click(t, ".menu > summary")
	b.do(t, watchTile)
	var dead, back []time.Duration
	for range kills {
		dead = append(dead, b.shown(t, "dead", s.order(t, "kill", "pgb2", "pgbouncer")))
		back = append(back, b.shown(t, "back", s.order(t, "start", "pgb2", "pgbouncer")))
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(dead)
	slices.Sort(back)
	t.Logf("%d kills; the open overview shows them after median %s, longest %s; the return after median %s, longest %s", kills,
		dead[kills/2], dead[kills-1], back[kills/2], back[kills-1])
	if dead[kills-1] > showsKill || back[kills-1] > showsBack {
		t.Errorf("shown late: dead %v, back %v", dead, back)
	}
	if !b.is(t, `document.querySelector(".menu").open`) {
		t.Error("the menu that was opened is closed")
	}
	b.clean(t)
	b.size(t, 1280)

	form.until(t, time.Minute, fmt.Sprintf(`refreshes >= %d`, formChecks))
	is := ask[struct {
		Value, Focus string
		From, To     int
	}](t, form, `(() => { const e = document.querySelector("[name=reason]");
		return {Value: e.value, Focus: document.activeElement.name, From: e.selectionStart, To: e.selectionEnd}; })()`)
	t.Logf("the page with the form was refreshed %d times", ask[int](t, form, `refreshes`))
	if is.Value != "half a reas" || is.Focus != "reason" || is.From != 5 || is.To != 7 {
		t.Errorf("the form is now %+v", is)
	}
	form.clean(t)
}

func (s *site) acknowledge(t *testing.T) {
	b := s.admin
	s.order(t, "kill", "pgb2", "pgbouncer")
	defer s.mend()
	b.open(t, "/")
	b.until(t, answerLimit, `document.querySelector("#sentence a[href^='/incidents/']")`)
	s.writtenDown(t)
	b.theme(t, "dark")
	b.accessible(t, "with a dead pooler, dark")
	b.screenshot(t, "overview-dead-dark-1280")
	b.size(t, 360)
	b.screenshot(t, "overview-dead-dark-360")
	b.theme(t, "light")
	b.screenshot(t, "overview-dead-light-360")
	b.size(t, 1280)
	b.accessible(t, "with a dead pooler, light")
	b.screenshot(t, "overview-dead-light-1280")
	b.tabTo(t, "a Open the incident")
	b.press(t, kb.Enter)
	b.until(t, answerLimit, `location.pathname.startsWith("/incidents/") && document.readyState === "complete" && document.querySelector("#orders a")`)
	s.incident = b.path(t)
	reader := newTab(t, s.browser, s.home, false) // somebody else who reads it meanwhile
	reader.open(t, s.incident)
	reader.click(t, "#timeline details > summary")
	b.tabTo(t, "a Acknowledge")
	b.press(t, kb.Enter)
	b.untilAt(t, s.incident+"/acknowledge")
	b.tabTo(t, "input reason")
	b.press(t, "I am at it")
	b.tabTo(t, "button Acknowledge")
	b.press(t, kb.Enter)
	b.untilAt(t, s.incident)
	b.until(t, answerLimit, `document.querySelector("main").innerText.includes("is at it")`)

	b.open(t, "/incidents")
	if !b.is(t, `document.querySelector("#open").innerText.includes("`+adminEmail+`")`) {
		t.Errorf("what is open does not say who is at it%s", b.whatIsThere())
	}
	b.clean(t)
	reader.until(t, answerLimit, `document.querySelector("#timeline").innerText.includes("acknowledged")`)
	if !reader.is(t, `document.querySelector("#timeline details").open`) {
		t.Error("a refresh closed the evidence that was opened")
	}
	reader.clean(t)
}

func (s *site) acknowledgeWithoutScript(t *testing.T) {
	b := s.withoutScript(t)
	s.order(t, "kill", "pgb3", "pgbouncer")
	defer s.mend()
	row := `[...document.querySelectorAll("#open tr")].find((r) => r.innerText.includes("pgb3"))`
	b.reloadUntil(t, "/incidents", row)
	b.click(t, `#open a[href="`+b.text(t, row+`.querySelector("a").getAttribute("href")`)+`"]`)
	b.until(t, answerLimit, `location.pathname.startsWith("/incidents/") && document.readyState === "complete"`)
	at := b.path(t)
	b.reloadUntil(t, at, `document.querySelector("#orders a")`) // when the monitor has written it down
	b.click(t, `#orders a[href$="/acknowledge"]`)
	b.untilAt(t, at+"/acknowledge")
	b.fill(t, "reason", "I am at it")
	b.untilAt(t, at)
	said := b.text(t, `document.querySelector("main").innerText`)
	if !strings.Contains(said, adminEmail) || !strings.Contains(said, "I am at it") || !strings.Contains(said, "pgb3") {
		t.Errorf("the incident does not say who is at it, and why%s", b.whatIsThere())
	}
	b.reloadUntil(t, "/incidents", row+`.innerText.includes("`+adminEmail+`")`)
	b.clean(t)
}

// writtenDown waits until the monitor's incident is in the database.
func (s *site) writtenDown(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(answerLimit); ; {
		var open struct {
			Incidents struct {
				Edges []struct{ Node struct{ ID string } }
			}
		}
		s.admin.graphql(t, `{ incidents(open: true, kind: "pooler-down", first: 1) { edges { node { id } } } }`, nil, &open)
		if len(open.Incidents.Edges) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the monitor has written no incident down")
		}
	}
}

func (s *site) viewerOnly(t *testing.T) {
	b := newTab(t, s.browser, s.home, true)
	b.open(t, s.invite(t, "--role", "viewer", "vera@example.org"))
	b.fill(t, "name", "Vera", "password", "nine patient herons wading")
	b.untilAt(t, "/")
	for _, path := range []string{"/", "/poolers", "/poolers/pgb1", "/haproxy"} {
		b.open(t, path)
		orders := ask[[]string](t, b, `[...document.querySelectorAll("main a, main form")].map((e) => e.getAttribute("href") ?? e.getAttribute("action")).filter((h) =>
			/\/(drain|maint|ready|pause|resume|reconnect|reload|relinquish|reclaim)$/.test(h))`)
		if len(orders) > 0 {
			t.Errorf("%s offers a viewer %q", path, orders)
		}
	}
	b.clean(t)
	for _, path := range []string{"/poolers/pgb1/drain", "/pools/pause", "/haproxy/haproxy1/relinquish"} {
		get := ask[int](t, b, fmt.Sprintf(`fetch(%q).then((r) => r.status)`, path))
		post := ask[int](t, b, fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams({reason: "because", for: "10"})}).then((r) => r.status)`, path))
		if get != http.StatusForbidden || post != http.StatusForbidden {
			t.Errorf("%s answers a viewer %d, and %d to a forged form", path, get, post)
		}
	}
	if err := s.whole(t.Context()); err != nil {
		t.Errorf("after forged orders: %v", err)
	}
}

func (s *site) revoked(t *testing.T) {
	b := s.elsewhere(t)
	b.fill(t, "code", s.recovery[1])
	b.untilAt(t, "/poolers")
	b.until(t, answerLimit, `document.documentElement.dataset.stream === "live"`)
	var there struct{ Viewer struct{ Session string } }
	b.graphql(t, `{ viewer { session } }`, nil, &there)
	b.clean(t)

	began := time.Now()
	var ended struct {
		EndSession struct{ UserErrors []struct{ Message string } }
	}
	s.admin.graphql(t, `mutation($s: ID!) { endSession(session: $s) { userErrors { message } } }`, map[string]any{"s": there.Viewer.Session}, &ended)
	if len(ended.EndSession.UserErrors) > 0 {
		t.Fatalf("%+v", ended)
	}
	b.until(t, 5*time.Second, `location.pathname === "/sign-in"`)
	t.Logf("at the sign-in after %s", time.Since(began).Round(time.Millisecond))
}

func (s *site) postgresDies(t *testing.T) {
	b := s.admin
	b.open(t, "/")
	b.until(t, answerLimit, `document.documentElement.dataset.stream === "live"`)
	b.do(t, `window.same = true`)
	began := s.order(t, "kill", "postgres", "postgres")
	defer s.mend()
	b.until(t, answerLimit, `document.querySelector("#sentence .banner").dataset.stateOf === "critical" && document.querySelector("#sentence").innerText.includes("PostgreSQL")`)
	t.Logf("the banner says so after %s", time.Since(began).Round(time.Millisecond))
	b.until(t, answerLimit, `document.querySelector("#changes").innerText.includes("out of reach")`)
	if !b.is(t, `window.same`) {
		t.Error("the page was loaded anew")
	}
	b.accessible(t, "without PostgreSQL")
	b.screenshot(t, "overview-postgres-light-1280")
	b.clean(t)
	for _, path := range s.seen {
		b.open(t, path)
		if b.is(t, `location.pathname === "/sign-in" || !document.querySelector("main :is(h1, h2, h3), .graphiql-container")`) {
			t.Errorf("%s without PostgreSQL is at %s%s", path, b.path(t), b.whatIsThere())
		}
	}
	anybody := newTab(t, s.browser, s.home, true)
	anybody.open(t, "/sign-in")
	if !anybody.is(t, `document.querySelector("main").innerText.includes("Nobody can sign in now")`) {
		t.Errorf("the sign-in does not say that nobody can%s", anybody.whatIsThere())
	}
	b.takeFaults()

	b.open(t, "/")
	b.do(t, `window.same = true`)
	began = s.order(t, "start", "postgres", "postgres")
	b.until(t, 30*time.Second, `document.querySelector("#sentence .banner").dataset.stateOf === "ok" && !document.querySelector("#changes").innerText.includes("out of reach")`)
	t.Logf("it shows that all is well %s after the start of PostgreSQL", time.Since(began).Round(time.Millisecond))
	if !b.is(t, `window.same`) {
		t.Error("the page was loaded anew")
	}
	b.open(t, "/poolers")
	b.untilAt(t, "/poolers")
	b.clean(t)
}
