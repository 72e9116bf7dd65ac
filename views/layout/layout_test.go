package layout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"weir/views/golden"
	"weir/views/layout"
	"weir/views/ui"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func page(role layout.Role) layout.Page {
	return layout.Page{Title: "pgb2", Section: layout.Poolers, Path: "/poolers/pgb2?a=b&c", Live: true, Clock: ui.Clock{Now: noon}, Version: "test",
		Viewer: &layout.Viewer{Name: "Ada Lovelace", Email: "ada@example.org", Role: role}}
}

func TestTheFrame(t *testing.T) {
	frame := layout.Frame(page(layout.Administrator), templ.Raw("<h1>pgb2</h1>"))
	golden.HTML(t, "frame", frame)
	golden.Plain(t, frame)
	gate := layout.Gate(layout.Page{Title: "Sign in", Path: "/sign-in", Clock: ui.Clock{Now: noon}}, templ.Raw("<h1>Sign in</h1>"))
	golden.HTML(t, "gate", gate)
	golden.Plain(t, gate)
}

func TestARoleSeesWhatItReaches(t *testing.T) {
	for role, want := range map[layout.Role][2]bool{layout.SeesOnly: {false, false}, layout.Operator: {true, true}, layout.Administrator: {true, true}} {
		html := golden.Render(t, layout.Frame(page(role), templ.NopComponent))
		if got := [2]bool{strings.Contains(html, "Configuration"), strings.Contains(html, "Administration")}; got != want {
			t.Errorf("%s: %v, not %v", role, got, want)
		}
	}
}

func TestTheStreamIsAskedForByThePagesOwnPath(t *testing.T) {
	if got := page(layout.SeesOnly).Stream(); got != "/events?page=%2Fpoolers%2Fpgb2%3Fa%3Db%26c" {
		t.Error(got)
	}
}

func TestAnEventHasItsNameAtEveryLine(t *testing.T) {
	for got, want := range map[string]string{
		string(layout.Event("", []byte("<p>a\nb</p>"))):                                    "data: <p>a\ndata: b</p>\n\n",
		string(layout.Event("say", []byte("pgb2 down"))):                                   "event: say\ndata: pgb2 down\n\n",
		string(layout.Event("", []byte("<p>select 1 --\r\revent: reload\r\ndata: x</p>"))): "data: <p>select 1 --event: reload\ndata: data: x</p>\n\n",
		string(layout.Event("reload", nil)):                                                "event: reload\ndata:\n\n",
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestWhatWasSentIsNotSentAgain(t *testing.T) {
	var c layout.Changes
	next := func(a, b string) string {
		list, err := layout.Render(t.Context(), []layout.Fragment{{ID: "a", Body: templ.Raw(a)}, {ID: "b", Body: templ.Raw(b)}})
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Next(list))
	}
	if got := next("1", "2"); strings.Count(got, "<hx-partial") != 2 {
		t.Errorf("first: %q", got)
	}
	if got := next("1", "2"); got != "" {
		t.Errorf("the same again: %q", got)
	}
	if got := next("1", "3"); got != `<hx-partial hx-target="#b" hx-swap="innerMorph">3</hx-partial>` {
		t.Errorf("one of them: %q", got)
	}
}

func TestAThemeIsOneOfThree(t *testing.T) {
	for in, want := range map[string]layout.Theme{"dark": layout.Dark, "light": layout.Light, "": layout.System, `"><script>`: layout.System} {
		if got := layout.ParseTheme(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestAnAgeThatGrewIsNoChange(t *testing.T) {
	var c layout.Changes
	began := noon
	next := func(now time.Time, text string) string {
		f := layout.Fragment{ID: "a", Body: templ.Join(ui.For(ui.Clock{Now: now}, began), templ.Raw(text))}
		r, err := layout.Render(t.Context(), []layout.Fragment{f})
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Next(r))
	}
	if got := next(noon.Add(time.Second), "pgb2"); !strings.Contains(got, ">1 s<") {
		t.Errorf("the first is %q", got)
	}
	if got := next(noon.Add(2*time.Second), "pgb2"); got != "" {
		t.Errorf("a second later %q is sent", got)
	}
	if got := next(noon.Add(3*time.Second), "pgb3"); !strings.Contains(got, ">3 s<") {
		t.Errorf("what is new is %q", got)
	}
	began = noon.Add(time.Second)
	if got := next(noon.Add(4*time.Second), "pgb3"); got == "" {
		t.Error("that it began at another time is not sent")
	}
}
