package metric_test

import (
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/views/chain/chaintest"
	"weir/views/golden"
	"weir/views/metric"
	"weir/views/story"
	"weir/views/ui"
)

var noon = chaintest.Noon

func clock(zone string) ui.Clock {
	z, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	return ui.Clock{Now: noon, Zone: z}
}

func TestThePagesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for _, s := range story.Shots() {
		if strings.HasPrefix(s.Name, "metrics") {
			golden.Plain(t, s.Content)
			if s.Name != "metrics" {
				golden.HTML(t, s.Name, s.Content)
			}
		}
	}
}

func TestOneChartIsDrawnWithoutAScriptToo(t *testing.T) {
	spec, _ := metric.Find(metric.Waiting)
	r := metric.Range{From: noon.Add(-time.Minute), To: noon}
	chart := metric.Chart("waiting", spec, []metric.Series{{Subject: "pgb1", Points: every(r, 10*time.Second, nil)}}, []metric.Mark{
		{Kind: metric.Incident, At: noon.Add(-30 * time.Second), Open: true, State: ui.Critical, Text: "pgb2 down"},
		{Kind: metric.Act, At: noon.Add(-40 * time.Second), State: ui.Planned, Text: "drain pgb3"},
		{Kind: metric.Move, At: noon.Add(-time.Hour), State: ui.Warning, Text: "before the range"}}, r, ui.Clock{Now: noon})
	golden.HTML(t, "chart", ui.RangeChart(chart))
	html := golden.Render(t, ui.RangeChart(chart))
	if strings.Count(html, `class="mark"`) != 2 || strings.Count(html, `class="span"`) != 1 {
		t.Error("two marks lie in the range, one of them with a length")
	}
}

// every is a sample at equal distances, but for those left out.
func every(r metric.Range, step time.Duration, left map[int]bool) (out []metric.Point) {
	for i, at := 0, r.From; at.Before(r.To); i, at = i+1, at.Add(step) {
		if !left[i] {
			out = append(out, metric.Point{At: at, Min: float64(i) - 1, Mean: float64(i), Most: float64(i) + 1})
		}
	}
	return out
}

func TestAStretchWithoutSamplesIsAGap(t *testing.T) {
	spec, _ := metric.Find(metric.XactRate)
	r := metric.Range{From: noon.Add(-10 * time.Minute), To: noon}
	gaps := func(left map[int]bool) (n int) {
		c := metric.Chart("x", spec, []metric.Series{{Points: every(r, 10*time.Second, left)}}, nil, r, ui.Clock{Now: noon})
		for _, v := range c.Lines[0].Values[:len(c.Times)-1] { // the last is the end of the range
			if math.IsNaN(v) {
				n++
			}
		}
		return n
	}
	if n := gaps(nil); n != 0 {
		t.Errorf("%d gaps where there is none", n)
	}
	if n := gaps(map[int]bool{20: true}); n != 0 {
		t.Errorf("one sample that came late makes %d gaps", n)
	}
	if n := gaps(map[int]bool{20: true, 21: true, 22: true, 23: true}); n != 1 {
		t.Errorf("%d gaps, want 1", n)
	}
}

func TestASubjectThatWasNotSampledHasAGapWhereOthersHaveNone(t *testing.T) {
	spec, _ := metric.Find(metric.XactRate)
	r := metric.Range{From: noon.Add(-time.Minute), To: noon}
	c := metric.Chart("x", spec, []metric.Series{{Subject: "pgb1", Points: every(r, 10*time.Second, nil)},
		{Subject: "pgb2", Points: every(r, 10*time.Second, map[int]bool{3: true})}}, nil, r, ui.Clock{Now: noon})
	if !math.IsNaN(c.Lines[1].Values[3]) || math.IsNaN(c.Lines[0].Values[3]) || len(c.Times) != len(c.Lines[1].Values) {
		t.Errorf("%v", c.Lines)
	}
}

func TestPeaksAndFailuresAreNotAveragedAway(t *testing.T) {
	p := []metric.Series{{Points: []metric.Point{{At: noon.Add(-time.Minute), Min: 0, Mean: 0.9, Most: 1}}}}
	r := metric.Range{From: noon.Add(-time.Minute), To: noon}
	for m, want := range map[metric.Metric]float64{metric.Serving: 0, metric.XactRate: 0.9, metric.MaxWait: 1} {
		spec, _ := metric.Find(m)
		if got := metric.Chart("x", spec, p, nil, r, ui.Clock{Now: noon}).Lines[0].Values[0]; got != want {
			t.Errorf("%s is drawn as %v, want %v", m, got, want)
		}
	}
}

func TestARangeIsReadFromTheAddress(t *testing.T) {
	for _, row := range []struct {
		sentence, query, zone string
		from, to              time.Time
		fault                 string // its field
	}{
		{"nothing is the last hour", "", "UTC", noon.Add(-time.Hour), noon, ""},
		{"a name ends now", "range=7d", "UTC", noon.Add(-7 * 24 * time.Hour), noon, ""},
		{"an unknown name is the last hour", "range=1y", "UTC", noon.Add(-time.Hour), noon, ""},
		{"what a form says is in the viewer's zone", "from=2026-11-23T10:00&to=2026-11-23T11:30", "Europe/Berlin", noon.Add(-3 * time.Hour), noon.Add(-90 * time.Minute), ""},
		{"an address says whose zone it is in", "from=2026-11-23T10:00&to=2026-11-23T11:30&tz=Europe/Berlin", "Asia/Tokyo", noon.Add(-3 * time.Hour), noon.Add(-90 * time.Minute), ""},
		{"RFC 3339 needs no zone", "from=2026-11-23T09:00:00Z&to=2026-11-23T10:00:00Z", "Asia/Tokyo", noon.Add(-3 * time.Hour), noon.Add(-2 * time.Hour), ""},
		{"without an end it is until now", "from=2026-11-23T09:00:00Z", "UTC", noon.Add(-3 * time.Hour), noon, ""},
		{"the wrong way round", "from=2026-11-23T10:00:00Z&to=2026-11-23T09:00:00Z", "UTC", noon.Add(-time.Hour), noon, "to"},
		{"longer than samples are kept", "from=2026-01-01T00:00:00Z&to=2026-11-01T00:00:00Z", "UTC", noon.Add(-time.Hour), noon, "from"},
		{"no moment", "from=yesterday&to=2026-11-23T09:00:00Z", "UTC", noon.Add(-time.Hour), noon, "from"},
	} {
		q, _ := url.ParseQuery(row.query)
		r, faults := metric.ParseRange(q, clock(row.zone))
		if !r.From.Equal(row.from) || !r.To.Equal(row.to) {
			t.Errorf("%s: %v to %v", row.sentence, r.From, r.To)
		}
		if (row.fault == "") != (len(faults) == 0) || row.fault != "" && faults.Of(row.fault) == "" {
			t.Errorf("%s: %v", row.sentence, faults)
		}
	}
}

func TestALinkToARangeMeansTheSameToEverybody(t *testing.T) {
	r, _ := metric.ParseRange(url.Values{"from": {"2026-11-23T10:00"}, "to": {"2026-11-23T11:00"}}, clock("Europe/Berlin"))
	q, _ := url.ParseQuery(r.Query())
	if again, _ := metric.ParseRange(q, clock("Asia/Tokyo")); !again.From.Equal(r.From) || !again.To.Equal(r.To) {
		t.Errorf("%s is %v to %v", r.Query(), again.From, again.To)
	}
}

func TestThePageAsksForEveryMetricOnce(t *testing.T) {
	seen := map[metric.Metric]bool{}
	for _, m := range metric.Metrics() {
		if seen[m] {
			t.Errorf("%s is drawn twice", m)
		}
		seen[m] = true
	}
	if len(seen) != 24 {
		t.Errorf("%d metrics; the schema has 24", len(seen))
	}
}

func TestTheCSVHasALineForEveryPoint(t *testing.T) {
	var b strings.Builder
	err := metric.WriteCSV(&b, []metric.Metric{metric.Clients}, map[metric.Metric][]metric.Series{
		metric.Clients: {{Subject: "pgb1", Points: []metric.Point{{At: noon, Min: 1, Mean: 1.5, Most: 2e9}}}}})
	if want := "at,metric,subject,least,mean,most\n2026-11-23T12:00:00Z,pooler_clients,pgb1,1,1.5,2e+09\n"; err != nil || b.String() != want {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestThePageOfAnHourStaysBelow400KB(t *testing.T) {
	if n := len(golden.Render(t, metric.Content(story.Metrics()))); n > 400_000 {
		t.Errorf("%d bytes", n)
	}
}
