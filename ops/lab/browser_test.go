package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// startBrowser starts Debian's Chromium without a window; it ends with the test. A tab of it is made
// by newTab.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, closeAll := chromedp.NewContext(allocator)
	t.Cleanup(closeAll)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium (make test-deps installs it): %v", err)
	}
	return ctx
}

// tab is one tab of the browser at a console. It collects what a page must not have: errors of
// scripts, of the content policy, of requests.
type tab struct {
	ctx  context.Context
	home string // http://127.0.0.1:40123

	mu     sync.Mutex
	faults []string
}

// answerLimit is how long a page may take that is asked for nothing special.
const answerLimit = 10 * time.Second

// newTab opens a tab. Tabs share their cookies, but for one that is apart: somebody else's browser.
func newTab(t *testing.T, browser context.Context, home string, apart bool) *tab {
	t.Helper()
	b := &tab{home: home}
	options := []chromedp.ContextOption{chromedp.WithListener(b.listen)}
	if apart {
		options = append(options, chromedp.WithNewBrowserContext())
	}
	ctx, end := chromedp.NewContext(browser, options...)
	t.Cleanup(end)
	if b.ctx = ctx; chromedp.Do(ctx) != nil { // without a limit: a tab ends with the first context it is used with
		t.Fatal("no tab could be opened")
	}
	// Every tab believes that it is the one being used.
	command(t, b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	command(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
	b.size(t, 1280)
	return b
}

func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if o := e.ExceptionDetails.Exception; o != nil {
			text += " " + o.Description
		}
		b.fault("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.fault("console: %s", strings.Join(words, " "))
		}
	case *cdplog.EventEntryAdded: // violations of the content policy are among them
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			b.fault("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled && e.ErrorText != "net::ERR_ABORTED" { // a stream of a page that is left
			b.fault("request failed: %s %s", e.ErrorText, e.BlockedReason)
		}
	}
}

func (b *tab) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// takeFaults empties the list.
func (b *tab) takeFaults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.faults
	b.faults = nil
	return list
}

// clean fails when the pages so far had faults.
func (b *tab) clean(t *testing.T) {
	t.Helper()
	for _, f := range b.takeFaults() {
		t.Errorf("%s: %s", b.path(t), f)
	}
}

// run carries out an action and answers what came of it.
func run[T any](t *testing.T, b *tab, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 3*answerLimit)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%v%s", err, b.whatIsThere())
	}
	return answer
}

// command tells the tab something of the browser's own protocol.
func command[P any](t *testing.T, b *tab, what cdp.Command[P, cdp.Empty], params P) {
	t.Helper()
	run(t, b, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, what, params)
		return err
	}))
}

// whatIsThere is the page as somebody reads it, for a message of a test that failed.
func (b *tab) whatIsThere() string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	at, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("main")?.innerText ?? ""`))
	if len(text) > 1500 {
		text = text[:1500] + " …"
	}
	return "\nat " + at + ":\n" + text
}

// open goes to a page, and answers its status.
func (b *tab) open(t *testing.T, path string) int64 {
	t.Helper()
	return run(t, b, chromedp.NavigateResponse(b.home+path)).Status
}

func (b *tab) path(t *testing.T) string {
	t.Helper()
	return strings.TrimPrefix(run(t, b, chromedp.Location()), b.home)
}

// ask evaluates an expression of the page; a promise is waited for.
func ask[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	return run(t, b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// do runs a statement in the page.
func (b *tab) do(t *testing.T, statement string) {
	t.Helper()
	ask[chromedp.Void](t, b, statement)
}

func (b *tab) text(t *testing.T, expression string) string {
	t.Helper()
	return ask[string](t, b, expression)
}

func (b *tab) is(t *testing.T, expression string) bool {
	t.Helper()
	return ask[bool](t, b, "Boolean("+expression+")")
}

func (b *tab) click(t *testing.T, selector string) {
	t.Helper()
	run(t, b, chromedp.Click(chromedp.CSS(selector)))
}

// until waits until an expression is true of the page, or of the one that comes in its place.
func (b *tab) until(t *testing.T, limit time.Duration, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	for {
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if yes {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s (%v)%s", limit, expression, err, b.whatIsThere())
		case <-time.After(look):
		}
	}
}

// untilAt waits for a page that is wholly there.
func (b *tab) untilAt(t *testing.T, path string) {
	t.Helper()
	b.until(t, answerLimit, fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, path))
}

func (b *tab) size(t *testing.T, width int64) {
	t.Helper()
	command(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	b.settle(t)
}

// settle waits until the page is drawn as it is to stay: charts follow the window a frame later, and
// colours fade.
func (b *tab) settle(t *testing.T) {
	t.Helper()
	b.do(t, `new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))
		.then(() => Promise.allSettled(document.getAnimations().map((a) => a.finished))).then(() => undefined)`)
}

// press sends keys to whatever has the focus, as a keyboard does.
func (b *tab) press(t *testing.T, keys string) {
	t.Helper()
	run(t, b, chromedp.KeyEvent(keys))
}

// focused is what has the focus.
type focused struct {
	Is    string // a Drain; input reason; button Sign in
	Seen  bool   // the focus can be seen
	Looks string // what was looked at for that
}

func (b *tab) focus(t *testing.T) focused {
	t.Helper()
	return ask[focused](t, b, `(() => {
		const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
		const name = e.name || e.getAttribute("aria-label") || e.textContent.trim();
		const marked = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2;
		const middle = document.elementFromPoint(r.x + r.width / 2, r.y + Math.min(r.height, innerHeight - r.y) / 2);
		return {Is: e.localName + " " + name, Seen: marked && r.width > 0 && (e.contains(middle) || r.height > innerHeight),
			Looks: [s.outline, r.x, r.y, r.width, r.height, middle?.localName].join(" ")};
	})()`)
}

// tabTo goes from one stop to the next until the one wanted, and sees to it that each shows its focus.
func (b *tab) tabTo(t *testing.T, want string) {
	t.Helper()
	var stops []string
	for range 80 {
		b.press(t, kb.Tab)
		f := b.focus(t)
		stops = append(stops, f.Is)
		if !strings.HasPrefix(f.Is, "body") && !f.Seen {
			t.Errorf("%s: the focus on %q cannot be seen: %s", b.path(t), f.Is, f.Looks)
		}
		if f.Is == want {
			return
		}
	}
	t.Fatalf("%s: no stop %q; there are %q", b.path(t), want, stops)
}

// fill types into the fields of a form, by name, and sends it.
func (b *tab) fill(t *testing.T, fields ...string) {
	t.Helper()
	for i := 0; i < len(fields); i += 2 {
		field := chromedp.CSS(fmt.Sprintf(`main form [name=%q]`, fields[i]))
		run(t, b, chromedp.Steps(chromedp.Clear(field), chromedp.SendKeys(field, fields[i+1])))
	}
	b.click(t, `main form button[type=submit]`)
}

// graphql asks the API as the page's own script could: with the viewer's cookie.
func (b *tab) graphql(t *testing.T, query string, variables map[string]any, answer any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	said := b.text(t, fmt.Sprintf(`fetch("/graphql", {method: "POST", headers: {"Content-Type": "application/json"}, body: %q}).then((r) => r.text())`, body))
	if err := json.Unmarshal([]byte(said), &reply); err != nil || len(reply.Errors) > 0 {
		t.Fatalf("%s: %v %s", query, err, said)
	}
	if err := json.Unmarshal(reply.Data, answer); err != nil {
		t.Fatal(err)
	}
}

// theme is what the system of whoever looks prefers.
func (b *tab) theme(t *testing.T, name string) {
	t.Helper()
	b.media(t, "", name)
}

// media is what shows the page, "print" or "" for a screen, and the theme that the system prefers. It asks
// for less motion: nobody has to wait for colours that fade.
func (b *tab) media(t *testing.T, media, theme string) {
	t.Helper()
	command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	b.settle(t)
}

// fits fails when the page is wider than its window, and names what is.
func (b *tab) fits(t *testing.T, width int64) {
	t.Helper()
	b.size(t, width)
	wide := ask[[]string](t, b, `(() => {
		const limit = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= limit) return [];
		const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > limit + 0.5 && !e.closest(".scroll, .file"));
		return ["" + document.documentElement.scrollWidth, ...out.slice(0, 5).map((e) => e.localName + "." + e.className + " " + e.textContent.trim().slice(0, 40))];
	})()`)
	if len(wide) > 0 {
		t.Errorf("%s at %d px is %s px wide: %q", b.path(t), width, wide[0], wide[1:])
	}
}

var screenshots = filepath.Join("..", "..", ".lab", "screenshots")

// screenshot keeps the whole page as a picture, for people to look at.
func (b *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	picture := run(t, b, chromedp.FullScreenshot(100))
	if err := errors.Join(os.MkdirAll(screenshots, 0o755), os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// axeTags are the rules that pages are held to: WCAG 2.2, levels A and AA.
const axeTags = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]`

var axe = sync.OnceValues(func() (string, error) {
	body, err := os.ReadFile(filepath.Join("..", "..", "views", "asset", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("read axe-core (make test-deps installs it): %w", err)
	}
	return string(body), nil
})

// accessible fails for everything that axe-core finds in the page as it is.
func (b *tab) accessible(t *testing.T, where string) {
	t.Helper()
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	if !b.is(t, `window.axe`) {
		b.do(t, script)
	}
	found := ask[[]string](t, b, `axe.run(document, {runOnly: {type: "tag", values: `+axeTags+`}, resultTypes: ["violations"]}).then((r) =>
		r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " "))))`)
	for _, f := range found {
		t.Errorf("%s %s: axe: %s", b.path(t), where, f)
	}
}
