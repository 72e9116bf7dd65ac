package ui_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"weir/views/golden"
	"weir/views/ui"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	clock = ui.Clock{Now: noon}
)

func TestNumbersAreWrittenAsPeopleReadThem(t *testing.T) {
	for got, want := range map[string]string{
		ui.Count(0): "0", ui.Count(999): "999", ui.Count(12345): "12,345", ui.Count(-1000): "-1,000",
		ui.Counted(1, "pooler"): "1 pooler", ui.Counted(0, "pooler"): "0 poolers",
		ui.Rate(0): "0", ui.Rate(0.42): "0.4", ui.Rate(9.96): "10", ui.Rate(1480.4): "1,480",
		ui.Bytes(900): "900 B", ui.Bytes(1536): "1.5 KiB", ui.Bytes(48 << 30): "48 GiB",
		ui.Span(-time.Second): "0 s", ui.Span(59 * time.Second): "59 s", ui.Span(245 * time.Second): "4 min 5 s",
		ui.Span(2*time.Hour + 10*time.Minute): "2 h 10 min", ui.Span(76 * time.Hour): "3 d 4 h",
		ui.Took(0): "0 ms", ui.Took(240 * time.Microsecond): "0.24 ms", ui.Took(3140 * time.Microsecond): "3.1 ms",
		ui.Took(840 * time.Millisecond): "840 ms", ui.Took(1900 * time.Millisecond): "1.9 s", ui.Took(2 * time.Minute): "2 min 0 s",
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestAMomentIsWrittenInTheViewersZone(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("this machine has no time zones")
	}
	c := ui.Clock{Now: noon, Zone: paris}
	for got, want := range map[string]string{
		c.Short(noon.Add(-time.Minute)): "12:59:00", c.Short(noon.Add(-13 * time.Hour)): "00:00:00",
		c.Short(noon.Add(-14 * time.Hour)): "22 Nov 23:00", c.Short(noon.AddDate(-1, 0, 0)): "23 Nov 2025 13:00",
		c.Exact(noon): "2026-11-23 13:00:00 CET",
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestAGaugePassesItsLimits(t *testing.T) {
	for value, want := range map[int64]ui.State{0: ui.OK, 79: ui.OK, 80: ui.Warning, 94: ui.Warning, 95: ui.Critical, 400: ui.Critical} {
		if got := (ui.Gauge{Value: value, Limit: 100, Warn: 80, Alarm: 95}).State(); got != want {
			t.Errorf("%d of 100: %s, not %s", value, got, want)
		}
	}
	if got := (ui.Gauge{Value: 9}).State(); got != ui.OK {
		t.Errorf("without a limit it is %s", got)
	}
}

func TestAGapInASeriesIsAGapInTheLine(t *testing.T) {
	html := golden.Render(t, ui.Spark(ui.Trend{Label: "clients", Series: ui.Series{1, 2, math.NaN(), 4}}))
	if strings.Count(html, "M") < 2 || strings.Contains(html, "NaN") {
		t.Errorf("no gap in %s", html)
	}
	if unknown := golden.Render(t, ui.Spark(ui.Trend{Label: "clients"})); !strings.Contains(unknown, "no history") {
		t.Errorf("nothing known looks like something: %s", unknown)
	}
}

func TestAPeakSurvivesThinning(t *testing.T) {
	s := make(ui.Series, 90)
	s[41] = 7
	for i := 60; i < 90; i++ {
		s[i] = math.NaN()
	}
	thin := s.Thin(30)
	if len(thin) != 30 || thin[13] != 7 || !math.IsNaN(thin[29]) {
		t.Errorf("%v", thin)
	}
}

func TestEveryStateHasAShapeAndAWordOfItsOwn(t *testing.T) {
	seen := map[string]ui.State{}
	shapes := golden.Render(t, ui.Shapes())
	for _, s := range []ui.State{ui.OK, ui.Planned, ui.Stale, ui.Unknown, ui.Warning, ui.Critical} {
		if !strings.Contains(shapes, `id="s-`+string(s)+`"`) {
			t.Errorf("%s has no shape", s)
		}
		html := strings.ReplaceAll(golden.Render(t, ui.Banner(s, "It is so")), `data-state-of="`+string(s)+`"`, "")
		if was, ok := seen[html]; ok {
			t.Errorf("%s and %s look alike without colour", s, was)
		}
		seen[html] = s
	}
}

func TestAFaultStandsAtItsField(t *testing.T) {
	c := ui.Confirm{Action: "/x", Title: "Drain pgb2?", Submit: "Drain pgb2", Cancel: "/", Reason: true, Verdict: ui.Verdict{Text: "<b>", Faults: ui.Faults{{Field: "reason", Message: "Say why."}, {Message: "Another order runs."}}, Checked: noon, Clock: clock}}
	form := ui.ConfirmForm(c)
	golden.Plain(t, form)
	golden.HTML(t, "confirm", form)
	html := golden.Render(t, form)
	for _, part := range []string{`aria-invalid="true"`, `aria-describedby="reason-wrong reason-hint"`, `id="reason-wrong"`, `value="&lt;b&gt;"`, `role="alert"`} {
		if !strings.Contains(html, part) {
			t.Errorf("the form lacks %s", part)
		}
	}
}

func TestWhatWouldBeRefusedCannotBeOrdered(t *testing.T) {
	html := golden.Render(t, ui.ConfirmForm(ui.Confirm{Action: "/x", Submit: "Drain pgb2", Verdict: ui.Verdict{Refused: []string{"No place is left."}, Effects: []string{"Clients move."}}}))
	if strings.Contains(html, `type="submit"`) || strings.Contains(html, "What will happen") || !strings.Contains(html, "No place is left.") {
		t.Errorf("%s", html)
	}
}
