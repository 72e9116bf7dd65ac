package lab_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/inventory"
)

// themes that every page is looked at in.
var themes = []string{"light", "dark"}

var (
	ofHost = regexp.MustCompile(`(pgb|haproxy)[0-9]`)
	ofRow  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|/[0-9]+\b|(people|tokens|silences)/[A-Za-z0-9_=-]{8,}`)
)

// kindOf makes the addresses of pages alike that differ by host, by row, or by what a query asks for.
func kindOf(address string) string {
	path, query, _ := strings.Cut(address, "?")
	path = ofRow.ReplaceAllString(ofHost.ReplaceAllString(path, "$1"), "$1/one")
	fields, _ := url.ParseQuery(query)
	return strings.Join(append([]string{path}, slices.Sorted(maps.Keys(fields))...), " ")
}

// nameOf names the pictures of a page.
func nameOf(address string) string {
	name := strings.Join(strings.FieldsFunc(kindOf(address), func(r rune) bool { return r == '/' || r == ' ' }), "-")
	if first, _, _ := strings.Cut(name, "-"); first == "invitation" || first == "reset" { // no secrets in names
		return first
	}
	if name == "" {
		return "overview"
	}
	return name
}

// byButton makes what pages are about that need something to be there, with the forms of the console, and
// looks at what only forms lead to.
func (s *site) byButton(t *testing.T) {
	b := s.admin
	b.open(t, "/account/tokens/new")
	b.fill(t, "name", "release notes of the weekly build, which has a long name")
	b.until(t, answerLimit, `document.getElementById("token")`)
	b.look(t, "account-tokens-made")

	b.open(t, "/admin/silences/new?cause=pooler-down%2Fpgb3")
	b.do(t, `document.querySelector("[name=host]").value = "pgb3"`)
	b.fill(t, "reason", "It is worked on")
	b.untilAt(t, "/admin/silences")
	b.clean(t)

	b.open(t, "/admin/invite")
	b.fill(t, "email", adminEmail) // has an account
	b.until(t, answerLimit, `document.querySelector("main .wrong, main [role=alert]")`)
	b.takeFaults() // the browser notes the status
	b.fill(t, "email", "bob@example.org")
	b.until(t, answerLimit, `document.querySelector("main .secret output")`)
	b.look(t, "admin-invited")
	s.invitation = strings.TrimPrefix(b.text(t, `document.querySelector("main .secret output").textContent.trim()`), s.home)

	vera := s.person(t, "vera@example.org")
	b.open(t, vera+"/reset-link")
	b.fill(t, "reason", "she forgot it")
	b.until(t, answerLimit, `document.querySelector("main .secret output")`)
	s.reset = strings.TrimPrefix(b.text(t, `document.querySelector("main .secret output").textContent.trim()`), s.home)
	b.look(t, "admin-reset-link")
}

// person is the path of the page of somebody.
func (s *site) person(t *testing.T, email string) string {
	t.Helper()
	s.admin.open(t, "/admin")
	return s.admin.text(t, fmt.Sprintf(`[...document.querySelectorAll("main tr")].find((r) => r.innerText.includes(%q)).querySelector("a").pathname`, email))
}

// forms are addresses that the forms of pages make, and what people make of addresses.
func (s *site) forms(t *testing.T) []string {
	var some struct {
		Incidents, Audit struct{ PageInfo struct{ EndCursor string } }
	}
	s.admin.graphql(t, `{ incidents(first: 1) { pageInfo { endCursor } } audit(first: 2) { pageInfo { endCursor } } }`, nil, &some)
	none := url.QueryEscape(time.Now().AddDate(0, -2, 0).Format("2006-01-02T15:04")) // was sampled so long ago
	return []string{
		"/incidents?state=over&severity=critical&kind=pooler-down&host=pgb2&from=&to=&tz=Europe%2FBerlin",
		"/incidents?host=haproxy2&kind=vip-lost",          // none
		"/incidents?from=yesterday&to=2026-02-31T10%3A00", // no moments
		"/incidents?state=over&after=" + url.QueryEscape(some.Incidents.PageInfo.EndCursor),
		"/history?range=30d",
		"/history?from=" + none + "&to=" + none[:len(none)-2] + "59&tz=Europe%2FBerlin",
		"/history?from=yesterday", // the last hour, and what is wrong
		"/admin/audit?actor=&verb=drain&subject=pgb1",
		"/admin/audit?subject=nothing",
		"/admin/audit?after=" + url.QueryEscape(some.Audit.PageInfo.EndCursor),
		"/postgres?by=mean_time&show=all",
		"/poolers/pgb1/ready", "/poolers/pgb1/resume", // nothing to take back
	}
}

// everyPage looks at the pages that the navigation leads to, and at one of each kind that those lead to.
func (s *site) everyPage(t *testing.T) {
	anybody := newTab(t, s.browser, s.home, true)
	for _, address := range []string{"/sign-in", "/sign-in?next=%2Fpoolers", "/sign-in/code", s.invitation, s.reset} {
		anybody.inspect(t, address, http.StatusOK)
	}
	b := s.admin
	b.inspect(t, "/no/such/page", http.StatusNotFound)
	b.open(t, "/")
	list := ask[[]string](t, b, `[...document.querySelectorAll(".side nav a")].map((a) => a.getAttribute("href"))`)
	if len(list) < 10 {
		t.Errorf("the navigation has %q only", list)
	}
	list = append(list, s.forms(t)...)
	kinds := map[string]bool{}
	for _, address := range list {
		kinds[kindOf(address)] = true
	}
	for i := 0; i < len(list); i++ { // it grows
		t.Run("page "+list[i], func(t *testing.T) { b.inspect(t, list[i], http.StatusOK) })
		for _, address := range ask[[]string](t, b, `[...document.querySelectorAll("main a:not([download])")].filter((a) => a.origin === location.origin).map((a) => a.pathname + a.search)`) {
			if kind := kindOf(address); !kinds[kind] {
				kinds[kind] = true
				list = append(list, address)
			}
		}
	}
	s.seen = list
	t.Logf("%d addresses", len(list))
}

// inspect opens a page, and looks at it.
func (b *tab) inspect(t *testing.T, address string, want int64) {
	t.Helper()
	if status := b.open(t, address); status != want {
		b.takeFaults()
		t.Errorf("%s answers %d", address, status)
		return
	}
	if want != http.StatusOK {
		b.takeFaults() // the browser notes the status
	}
	b.look(t, nameOf(address))
}

// look looks at the page that is there at every width and in both themes.
func (b *tab) look(t *testing.T, name string) {
	t.Helper()
	for _, theme := range themes {
		b.theme(t, theme)
		b.accessible(t, theme+" at 1280 px")
		b.screenshot(t, name+"-"+theme+"-1280")
		b.fits(t, 360)
		b.screenshot(t, name+"-"+theme+"-360")
		if theme == themes[0] { // the other has the same sizes
			b.accessible(t, "at 360 px")
			b.fits(t, 1024)
			b.fits(t, 2560)
			b.fits(t, 3840)
		}
		b.size(t, 1280)
	}
	b.theme(t, themes[0])
	b.clean(t)
}

// asRendered reads the page that asks every program what it has loaded.
func (s *site) asRendered(t *testing.T) {
	s.admin.open(t, "/configuration")
	hosts := ask[map[string]string](t, s.admin, `Object.fromEntries([...document.querySelectorAll("main tr")].filter((r) => r.querySelector("[data-label=Runs]")).map((r) => [r.querySelector("a").textContent, r.querySelector("[data-label=Runs]").textContent.trim()]))`)
	if len(hosts) != len(inventory.Default().Hosts()) {
		t.Errorf("of the hosts there are %v only", hosts)
	}
	for host, said := range hosts {
		if said != "as rendered" {
			t.Errorf("%s: %s", host, said)
		}
	}
	s.admin.clean(t)
}

// A4 is 210 mm wide; browsers leave a centimetre on either side unless told otherwise.
const (
	paper   = 794
	printed = paper - 2*38
)

// onPaper prints what people print: for the post-mortem, for the auditor, for the wall.
func (s *site) onPaper(t *testing.T) {
	b := s.admin
	defer func() { b.media(t, "", "light"); b.size(t, 1280) }()
	for _, address := range []string{"/", "/poolers/pgb1", "/postgres", s.incident, "/history?range=15m", "/configuration/pgb1", "/admin/audit"} {
		t.Run(address, func(t *testing.T) {
			b.open(t, address)
			for _, theme := range themes {
				b.media(t, "", theme) // as it was on the screen
				b.media(t, "print", theme)
				b.printable(t, "in a "+theme+" system")
				b.screenshot(t, "print-"+nameOf(address)+"-"+theme)
			}
			b.media(t, "", "light")
			b.click(t, ".themes button[value=dark]")
			b.media(t, "print", "light")
			b.printable(t, "with the dark theme chosen")
			b.screenshot(t, "print-"+nameOf(address)+"-chosen-dark")
			b.media(t, "", "light")
			b.click(t, ".themes button[value=system]")
		})
	}
	b.clean(t)
}

// printable fails when the page as it would be printed is wider than the paper, has on it what only a
// screen has a use for, or text that white paper swallows: browsers print no backgrounds.
func (b *tab) printable(t *testing.T, where string) {
	t.Helper()
	b.fits(t, printed)
	b.fits(t, paper)
	if cut := ask[[]string](t, b, `[...document.querySelectorAll("main *")].filter((e) => getComputedStyle(e).overflow !== "visible" && e.clientWidth > 1 && e.checkVisibility() && !e.matches(".clamp") &&
		(e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).map((e) => e.localName + "." + e.className + " " + e.scrollWidth + "x" + e.scrollHeight + " in " + e.clientWidth + "x" + e.clientHeight)`); len(cut) > 0 {
		t.Errorf("%s %s: paper does not scroll: %q", b.path(t), where, cut[:min(6, len(cut))])
	}
	if useless := ask[[]string](t, b, `[...document.querySelectorAll("nav, form, button, .btn, #live, #pause, .skip, [data-copy], .themes")].filter((e) =>
		e.checkVisibility() && e.getBoundingClientRect().width > 1).map((e) => e.localName + "." + e.className + " " + e.innerText.trim().slice(0, 40))`); len(useless) > 0 {
		t.Errorf("%s %s: on the paper are %q", b.path(t), where, useless)
	}
	if pale := ask[[]string](t, b, paleText); len(pale) > 0 {
		t.Errorf("%s %s: on white paper these are hard to read: %q", b.path(t), where, pale[:min(6, len(pale))])
	}
}

// paleText is every text that is seen with a contrast against white of less than 4.5 to 1. What a chart
// writes below its lines is drawn with soft edges.
const paleText = `(() => {
	const one = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const contrast = (r, g, b) => {
		[r, g, b] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05);
	};
	const onWhite = (paint) => {
		one.fillStyle = "#fff";
		one.fillRect(0, 0, one.canvas.width, one.canvas.height);
		paint();
		const pixels = one.getImageData(0, 0, one.canvas.width, one.canvas.height).data;
		let most = 1;
		for (let i = 0; i < pixels.length; i += 4) most = Math.max(most, contrast(...pixels.subarray(i, i + 3)));
		return most;
	};
	const known = {}, out = [];
	one.canvas.width = one.canvas.height = 1;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
		if (!text || !e.checkVisibility({opacityProperty: true, visibilityProperty: true}) || e.getBoundingClientRect().width <= 1) continue;
		const s = getComputedStyle(e), color = e instanceof SVGElement ? s.fill : s.color;
		known[color] ??= onWhite(() => { one.fillStyle = color; one.fillRect(0, 0, 1, 1); });
		if (known[color] < 4.5) out.push(text.slice(0, 40) + " " + color + " " + known[color].toFixed(1));
	}
	for (const c of document.querySelectorAll("canvas")) {
		[one.canvas.width, one.canvas.height] = [c.width, 30];
		const most = onWhite(() => one.drawImage(c, 0, 30 - c.height));
		if (most < 3) out.push("the axis of a chart " + most.toFixed(1));
	}
	if (document.body.innerText.trim().length < 100) out.push("nothing is there");
	return out;
})()`

const (
	oneChart = "vip_passage_seconds" // it is never twice the same
	goesOn   = 40 * time.Second      // a sample every 10 s, a refresh every 10 s, twice
)

// historyGoesOn leaves the numbers of the last quarter of an hour open.
func (s *site) historyGoesOn(t *testing.T) {
	b := s.admin
	b.open(t, "/history?range=15m")
	b.until(t, answerLimit, `document.querySelector("#`+oneChart+` canvas")`)
	b.click(t, `.chart:has(#`+oneChart+`) details > summary`)
	b.do(t, `window.newest = () => {
			const c = JSON.parse(document.querySelector(".chart:has(#`+oneChart+`) [data-chart]").dataset.chart);
			return c.times.findLast((_, i) => c.lines.some((l) => l.values[i] != null));
		};
		window.numbers = () => document.querySelector(".chart:has(#`+oneChart+`) details table").innerText;
		window.canvas = document.querySelector("#`+oneChart+` canvas");
		window.was = {newest: newest(), numbers: numbers(), drawn: canvas.toDataURL()}`)
	began := time.Now()
	b.until(t, goesOn, `newest() > was.newest && numbers() !== was.numbers`)
	t.Logf("the charts went on from %s to %s, after %s", time.Unix(ask[int64](t, b, `was.newest`), 0).Format(time.TimeOnly),
		time.Unix(ask[int64](t, b, `newest()`), 0).Format(time.TimeOnly), time.Since(began).Round(time.Millisecond))
	if !b.is(t, `document.querySelector(".chart:has(#`+oneChart+`) details").open`) {
		t.Error("the numbers that were opened are closed")
	}
	if !b.is(t, `canvas.isConnected && canvas === document.querySelector("#`+oneChart+` canvas")`) {
		t.Fatal("the chart is drawn on another canvas")
	}
	b.until(t, answerLimit, `canvas.toDataURL() !== was.drawn`)
	b.clean(t)
}
