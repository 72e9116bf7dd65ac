package metric_test

import (
	"fmt"
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

func TestPeaksAreNotAveragedAway(t *testing.T) {
	p := []metric.Series{{Points: []metric.Point{{At: noon.Add(-time.Minute), Min: 0, Mean: 0.9, Most: 1}}}}
	r := metric.Range{From: noon.Add(-time.Minute), To: noon}
	for m, want := range map[metric.Metric]float64{metric.XactRate: 0.9, metric.MaxWait: 1} {
		spec, _ := metric.Find(m)
		if got := metric.Chart("x", spec, p, nil, r, ui.Clock{Now: noon}).Lines[0].Values[0]; got != want {
			t.Errorf("%s is drawn as %v, want %v", m, got, want)
		}
	}
}

// stripOf is what a strip of one row says, word by word, of points that are {least, most}.
func stripOf(m metric.Metric, points ...[2]float64) (words []string, of ui.Chart) {
	r := metric.Range{From: noon.Add(-10 * time.Minute), To: noon}
	s := metric.Series{}
	for i, p := range points {
		s.Points = append(s.Points, metric.Point{At: r.From.Add(time.Duration(i) * time.Minute), Min: p[0], Mean: (p[0] + p[1]) / 2, Most: p[1]})
	}
	spec, _ := metric.Find(m)
	of = metric.Chart("x", spec, metric.Dressed(m, []metric.Series{s}, chaintest.Healthy().View().Inventory), nil, r, ui.Clock{Now: noon})
	for _, s := range of.Rows[0].Stretches {
		words = append(words, s.Word)
	}
	return words, of
}

func TestANumberThatStandsForSomethingIsNeverAMean(t *testing.T) {
	one, none, both := [2]float64{1, 1}, [2]float64{0, 0}, [2]float64{0, 1}
	for _, row := range []struct {
		sentence string
		metric   metric.Metric
		points   [][2]float64
		want     string
	}{
		{"what stays the same is one stretch", metric.Serving, [][2]float64{one, one, one}, "queries pass"},
		{"a moment of failure is seen", metric.Serving, [][2]float64{one, both, one}, "queries pass|some queries fail|queries pass"},
		{"a failure that lasts is another thing", metric.Serving, [][2]float64{none, none, one}, "no query passes|queries pass"},
		{"the holder is called by its name", metric.Holder, [][2]float64{{2, 2}, {1, 1}}, "haproxy2|haproxy1"},
		{"a move within a point is no node in between", metric.Holder, [][2]float64{one, {1, 2}, {2, 2}}, "haproxy1|moved between haproxy1 and haproxy2|haproxy2"},
		{"a node that left the inventory has no name", metric.Holder, [][2]float64{{3, 3}}, "a node that is not in the inventory"},
	} {
		if got, _ := stripOf(row.metric, row.points...); strings.Join(got, "|") != row.want {
			t.Errorf("%s: %s", row.sentence, strings.Join(got, "|"))
		}
	}
}

func TestAStripEndsWithItsLastSample(t *testing.T) {
	_, chart := stripOf(metric.Serving, [2]float64{1, 1}, [2]float64{1, 1})
	if got := chart.Rows[0].Stretches[0]; got.Until.Sub(got.From) != 2*time.Minute {
		t.Errorf("two samples, a minute apart, say something of %v", got.Until.Sub(got.From))
	}
}

func TestAHostHasOneColourInEveryChart(t *testing.T) {
	tones := map[string]int{}
	for m, list := range story.Metrics().Series {
		for _, s := range list {
			if had, ok := tones[s.Subject]; ok && had != s.Tone && s.Subject != "" && s.Subject != "postgres" && !strings.Contains(s.Subject, "/") {
				t.Errorf("%s has another colour in %s", s.Subject, m)
			}
			tones[s.Subject] = s.Tone
		}
	}
	if seen := map[int]bool{tones["pgb1"]: true, tones["pgb2"]: true, tones["pgb3"]: true, tones["haproxy1"]: true, tones["haproxy2"]: true}; len(seen) != 5 {
		t.Errorf("five hosts share %d colours", len(seen))
	}
}

func TestALimitIsDrawnWhenTheNumberComesNearIt(t *testing.T) {
	spec, _ := metric.Find(metric.Connections)
	r := metric.Range{From: noon.Add(-time.Minute), To: noon}
	inv := chaintest.Healthy().View().Inventory
	for used, drawn := range map[float64]bool{0.1: false, 0.5: true} {
		v := used * float64(inv.Postgres.MaxConnections)
		list := metric.Dressed(metric.Connections, []metric.Series{{Subject: "postgres", Points: []metric.Point{{At: r.From, Min: v, Mean: v, Most: v}}}}, inv)
		html := golden.Render(t, ui.RangeChart(metric.Chart("x", spec, list, nil, r, ui.Clock{Now: noon})))
		if strings.Contains(html, `class="limit"`) != drawn || !strings.Contains(html, "max_connections 250") {
			t.Errorf("at %v of it the limit is drawn: %v; it is always said", used, !drawn)
		}
	}
}

func TestAStretchWithoutSamplesIsMarkedAsSuch(t *testing.T) {
	spec, _ := metric.Find(metric.XactRate)
	r := metric.Range{From: noon.Add(-time.Hour), To: noon}
	s := []metric.Series{{Points: every(metric.Range{From: noon.Add(-5 * time.Minute), To: noon}, 10*time.Second, nil)}}
	got := metric.Chart("x", spec, s, nil, r, ui.Clock{Now: noon}).Empty
	if len(got) != 1 || !got[0].From.Equal(r.From) || !got[0].Until.Equal(noon.Add(-5*time.Minute)) {
		t.Errorf("%v", got)
	}
}

func TestMarksHaveTheSameNumberInTheListAndInTheCharts(t *testing.T) {
	m := story.Metrics()
	html := golden.Render(t, metric.Content(m))
	spec, _ := metric.Find(metric.XactRate)
	for _, mark := range metric.Chart("x", spec, m.Series[metric.XactRate], m.Marks, m.Range, m.Clock).Marks {
		at := strings.Index(html, fmt.Sprintf(`data-label="Mark">%d<`, mark.Number))
		if at < 0 || !strings.Contains(strings.SplitAfterN(html[at:], "</tr>", 2)[0], mark.Label) {
			t.Errorf("%d is not %s in the list", mark.Number, mark.Label)
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
