package metric

import (
	"encoding/csv"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"weir/views/ui"
)

// Points is how many points of every series a chart has at most.
const Points = 240

// Series is the history of one number of one subject; a stretch without samples has no point.
type Series struct {
	Subject string // "" is the chain as a whole
	Points  []Point
	Dress
}

// Dress is what the inventory knows of a series; see Dressed.
type Dress struct {
	Tone  int      // as ui.Line
	Limit ui.Limit // zero is none
	Names []string // what its numbers stand for, from 1
}

// Point is a stretch of time: its beginning, and the least, the mean and the most of its samples.
type Point struct {
	At              time.Time
	Min, Mean, Most float64
}

func (p Point) of(of Of) float64 {
	if of == Most {
		return p.Most
	}
	return p.Mean
}

// MarkKind is what a mark is about.
type MarkKind string

const (
	Incident MarkKind = "incident"
	Act      MarkKind = "act"  // of an operator
	Move     MarkKind = "move" // of the VIP
)

// Mark is something that happened in the range.
type Mark struct {
	Kind  MarkKind
	At    time.Time
	Until time.Time // zero: a moment, or not over yet
	Open  bool      // an incident that is not over
	State ui.State
	Text  string // pgb2 down; drain pgb3: kernel update
	Who   string // of an act
	Href  string
}

// Chart draws series over a range, and numbers the marks from the first on. All of them were sampled at
// the same moments; where nothing was, for longer than usual, their lines have a gap.
func Chart(id string, s Spec, series []Series, marks []Mark, r Range, c ui.Clock) ui.Chart {
	chart := ui.Chart{ID: id, Title: s.Title, Format: s.Format, Clock: c}
	chart.Times, chart.Empty = axis(series, r)
	if s.strip() {
		chart.Rows = rows(s, series, chart.Times[len(chart.Times)-1])
	} else {
		for _, one := range series {
			chart.Lines = append(chart.Lines, ui.Line{Label: label(one.Subject), Tone: one.Tone, Values: laid(one.Points, s.Of, chart.Times)})
			chart.Limit = one.Limit
		}
	}
	for i, m := range inOrder(marks) {
		mark := ui.ChartMark{Number: i + 1, At: m.At, Until: m.Until, State: m.State, Label: m.Text}
		if m.Open {
			mark.Until = r.To
		}
		chart.Marks = append(chart.Marks, mark)
	}
	return chart
}

// inOrder are marks with the oldest first: their numbers are their places there.
func inOrder(marks []Mark) []Mark {
	out := slices.Clone(marks)
	slices.SortStableFunc(out, func(a, b Mark) int { return a.At.Compare(b.At) })
	return out
}

// axis is every moment of the series, with one more inside of every gap, and the ends of the range; and
// the gaps.
func axis(series []Series, r Range) (out []time.Time, empty []ui.Stretch) {
	seen := map[int64]bool{}
	var all []time.Time
	for _, s := range series {
		for _, p := range s.Points {
			if !seen[p.At.UnixNano()] && !p.At.Before(r.From) && p.At.Before(r.To) {
				seen[p.At.UnixNano()] = true
				all = append(all, p.At)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	usual := usualDistance(all)
	out = []time.Time{r.From}
	for _, t := range append(all, r.To) {
		before := out[len(out)-1]
		if t.Sub(before) > usual*5/2 && before.Add(usual).Before(t) {
			from := before
			if seen[before.UnixNano()] {
				from = before.Add(usual)
			}
			out, empty = append(out, before.Add(usual)), append(empty, ui.Stretch{From: from, Until: t})
		}
		if t.After(before) {
			out = append(out, t)
		}
	}
	return out, empty
}

// usualDistance is the median of the distances.
func usualDistance(times []time.Time) time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(times); i++ {
		gaps = append(gaps, times[i].Sub(times[i-1]))
	}
	if len(gaps) == 0 {
		return 10 * time.Second // a sample alone
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// laid puts points on the axis; NaN is a moment without one.
func laid(points []Point, of Of, times []time.Time) []float64 {
	at := make(map[int64]float64, len(points))
	for _, p := range points {
		at[p.At.UnixNano()] = p.of(of)
	}
	out := make([]float64, len(times))
	for i, t := range times {
		v, ok := at[t.UnixNano()]
		if !ok {
			v = math.NaN()
		}
		v = rounded(v)
		out[i] = v
	}
	return out
}

// rounded keeps the digits that can be seen: a page has thousands of numbers.
func rounded(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func label(subject string) string {
	if subject == "" {
		return "the chain"
	}
	return subject
}

// WriteCSV writes the history of metrics as lines of at,metric,subject,least,mean,most; at is UTC.
func WriteCSV(w io.Writer, order []Metric, of map[Metric][]Series) error {
	out := csv.NewWriter(w)
	out.Write([]string{"at", "metric", "subject", "least", "mean", "most"}) // Error tells
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, m := range order {
		for _, s := range of[m] {
			for _, p := range s.Points {
				out.Write([]string{p.At.UTC().Format(time.RFC3339), string(m), s.Subject, number(p.Min), number(p.Mean), number(p.Most)})
			}
		}
	}
	out.Flush()
	return out.Error()
}
