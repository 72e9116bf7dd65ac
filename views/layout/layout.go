// Package layout is the frame that every page stands in, and the contract between a page and the
// event stream that keeps it current.
//
// # A page
//
// A page's folder has a Model (pure data, filled by the handler), a component Content(m) and, when
// it is live, m.Fragments(): those parts of it that change by themselves. The handler fills a Page
// and renders Frame(page, Content(m)). Every page holds to a policy of
// 'self' alone: none has a script, a style or a style attribute in it, none loads from a data:
// address, and nothing of htmx is used that would evaluate text. The context carries the answer's
// nonce (templ.WithNonce); what it does not vouch for neither runs nor is touched by htmx.
//
// # The stream
//
// A page with Live opens GET /events?page=PATH, where PATH is its own path and query, escaped:
// /events?page=%2Fpoolers%2Fpgb1. Who makes the page at PATH makes its model for the stream too, so
// one table of paths serves both. The answer is text/event-stream with these events:
//
//	(no name)  HTML to put in place, from Changes.Next: <hx-partial> elements, each with the id of
//	           the fragment it replaces. After connecting all fragments come once, as the page may
//	           be older than the stream; later only those that differ from what was sent last by more than the ages that the
//	           browser counts on itself.
//	say        a sentence in plain text for the polite live region: "pgb2 is down". For changes that
//	           somebody who cannot see the page must hear; not for numbers.
//	beat       the server's time, RFC 3339. At once after connecting, and then every 5 s. A page
//	           that hears nothing for 12 s shows that its connection is lost.
//	reload     any text. The page is to be fetched anew: the program or the viewer's role changed.
//
// A stream whose session is over is ended; connecting again answers 401, and the page goes to the
// sign-in by loading itself. A page that nobody looks at (a hidden tab), or whose updates are
// paused, closes its stream and opens another later; nothing has to be remembered for it.
//
// Fragments are put in place by morphing: elements stay, so focus, scrolling and open <details>
// stay too. Forms with something to type are never part of a fragment.
//
// Rendering does not depend on who looks, but for the zone and for what the role shows. So the
// server may render once for all streams of the same page, snapshot, zone and role (Render), and
// each stream keeps only sums of what it sent (Changes).
//
// # Cookies of the frame
//
//	theme  light, dark or system. Set by the script, and by POST /preferences (fields theme, back:
//	       a local path to return to) where there is none.
//	tz     the viewer's zone, as time.LoadLocation takes it. Set by the script; UTC until then.
package layout

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net/url"
	"regexp"
	"time"

	"github.com/a-h/templ"

	"weir/views/ui"
)

// Page is what every page tells its frame.
type Page struct {
	Title   string // pgb2; the product's name is put behind it
	Section Section
	Path    string // its own path and query: /poolers/pgb2
	Live    bool   // it has fragments
	Charts  bool   // it draws range charts
	Notice  *ui.Notice
	Now     Now // how the chain is; the zero Now leaves it out

	Viewer  *Viewer // nil is nobody
	Theme   Theme
	Clock   ui.Clock
	Cluster string // the inventory's name for it
	Version string // of the program
}

// Now is how the chain is, in two or three words: every page says it in its head, whatever it is about.
type Now struct {
	State ui.State
	Word  string
}

// Fragment keeps it current; every stream has it.
func (n Now) Fragment() Fragment { return Fragment{ID: "chain-now", Body: now(n)} }

// Viewer is who looks.
type Viewer struct {
	Name, Email string
	Role        Role
}

// Role of a viewer. Each may what the one before may.
type Role string

const (
	SeesOnly      Role = "viewer"
	Operator      Role = "operator"
	Administrator Role = "administrator"
)

// Operates reports whether they may give orders. Pages leave controls out by it; refusing is the
// runbook's.
func (v *Viewer) Operates() bool {
	return v != nil && (v.Role == Operator || v.Role == Administrator)
}

// Administers reports whether they may change accounts and channels.
func (v *Viewer) Administers() bool { return v != nil && v.Role == Administrator }

// Theme is how a viewer wants the pages.
type Theme string

const (
	System Theme = "system"
	Light  Theme = "light"
	Dark   Theme = "dark"
)

// ParseTheme reads the cookie; anything else is System.
func ParseTheme(s string) Theme {
	if t := Theme(s); t == Light || t == Dark {
		return t
	}
	return System
}

// Section is an entry of the navigation.
type Section string

const (
	Overview      Section = "/"
	Poolers       Section = "/poolers"
	HAProxy       Section = "/haproxy"
	Postgres      Section = "/postgres"
	Incidents     Section = "/incidents"
	Metrics       Section = "/history"
	Configuration Section = "/configuration"
	Account       Section = "/account"
	Admin         Section = "/admin"
	Explorer      Section = "/graphql/explorer"
)

// entry is one link of the navigation.
type entry struct {
	section Section
	label   string
	apart   bool // a line stands above it
}

// entries are those that a viewer's role reaches.
func (p Page) entries() []entry {
	list := []entry{{Overview, "Overview", false}, {Poolers, "Poolers", false}, {HAProxy, "HAProxy", false},
		{Postgres, "PostgreSQL", false}, {Incidents, "Incidents", false}, {Metrics, "Metrics", false}}
	if p.Viewer.Operates() {
		list = append(list, entry{Configuration, "Configuration", false})
	}
	list = append(list, entry{Account, "Account", true})
	if p.Viewer.Operates() { // an operator's part of it: silences, notifications, the audit
		list = append(list, entry{Admin, "Administration", false})
	}
	return append(list, entry{Explorer, "API explorer", false})
}

func (p Page) theme() string { return string(ParseTheme(string(p.Theme))) }

func (p Page) zone() string {
	if p.Clock.Zone == nil {
		return "UTC"
	}
	return p.Clock.Zone.String()
}

// clear says that nothing is wrong: the title of the window says what is.
func (n Now) clear() bool { return n.State == ui.OK || n.State == ui.Planned || n.State == "" }

func (p Page) now() string { return p.Clock.Now.UTC().Format(time.RFC3339Nano) }

// Stream is the address of a page's event stream.
func (p Page) Stream() string { return "/events?page=" + url.QueryEscape(p.Path) }

// settings are htmx's: what would evaluate text or add a style is off, and only its event stream and its
// guard are on of what extends it: an element that does not carry the page's nonce does nothing. A <details> that somebody opened stays open when it is morphed.
const settings = `{"extensions":"sse,hx-csp","includeIndicatorCSS":false,"history":false,"morphIgnore":["data-htmx-powered","open"],"sse":{"reconnectDelay":500,"reconnectMaxDelay":5000}}`

// Fragment is a part of a page that the stream replaces.
type Fragment struct {
	ID   string // unique in the page, the same for ever
	Body templ.Component
}

// Rendered is a fragment as it is sent.
type Rendered struct {
	ID   string
	HTML []byte
	sum  uint64
}

var seed = maphash.MakeSeed()

// Render makes the fragments' HTML. It may be shared by all streams it is the same for.
func Render(ctx context.Context, fragments []Fragment) ([]Rendered, error) {
	out := make([]Rendered, len(fragments))
	for i, f := range fragments {
		var b bytes.Buffer
		if err := f.Body.Render(ctx, &b); err != nil {
			return nil, fmt.Errorf("render fragment %s: %w", f.ID, err)
		}
		out[i] = Rendered{f.ID, b.Bytes(), maphash.Bytes(seed, ages.ReplaceAll(b.Bytes(), []byte("$1")))}
	}
	return out, nil
}

// ages are those that count on in the browser by themselves: that they grew is nothing new.
var ages = regexp.MustCompile(`(<time [^>]*data-age[^>]*>)[^<]*`)

// Changes knows what one stream has sent. The zero Changes has sent nothing. It is one goroutine's.
type Changes struct{ sent map[string]uint64 }

// Next is the data of the next event without a name: every fragment that differs from what was sent
// last. It has no line breaks in it but those of the fragments. nil is nothing to send.
func (c *Changes) Next(now []Rendered) []byte {
	if c.sent == nil {
		c.sent = make(map[string]uint64, len(now))
	}
	var b bytes.Buffer
	for _, r := range now {
		if sum, ok := c.sent[r.ID]; ok && sum == r.sum {
			continue
		}
		c.sent[r.ID] = r.sum
		fmt.Fprintf(&b, `<hx-partial hx-target="#%s" hx-swap="innerMorph">%s</hx-partial>`, r.ID, r.HTML)
	}
	return b.Bytes()
}

// Event writes one event of a stream: every line of the data gets its field's name. A line ends for
// browsers with a carriage return as well, which the text of a query may hold.
func Event(name string, data []byte) []byte {
	var b bytes.Buffer
	if name != "" {
		fmt.Fprintf(&b, "event: %s\n", name)
	}
	for line := range bytes.Lines(bytes.ReplaceAll(data, []byte("\r"), nil)) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\n"))
		b.WriteByte('\n')
	}
	if len(data) == 0 {
		b.WriteString("data:\n")
	}
	b.WriteByte('\n')
	return b.Bytes()
}

var themeWord = map[Theme]string{System: "System", Light: "Light", Dark: "Dark"}

func pressed(p Page, t Theme) string {
	if p.theme() == string(t) {
		return "true"
	}
	return "false"
}
