package ui

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Chart is a range chart. Its data stands in the page, as an attribute that the script reads; who
// has no script, or does not see, gets a drawing and a table of what every line comes to. One with
// Rows is a strip: it has no numbers, and needs no script.
type Chart struct {
	ID     string
	Title  string
	Format Format
	Times  []time.Time
	Lines  []Line
	Limit  Limit     // drawn where the lines come near it
	Rows   []Row     // in place of Lines
	Empty  []Stretch // of the axis: nothing was sampled
	Marks  []ChartMark
	Clock  Clock
}

// Line is one series of a chart, as long as its Times; NaN is a gap. Tone is its colour and dash, from
// 0: what stands for the same thing has the same one in every chart.
type Line struct {
	Label  string
	Tone   int
	Values []float64
}

// Limit is what a number cannot go beyond; zero is none.
type Limit struct {
	Label string // max_connections
	Value float64
}

// Row is what one thing was over the range; between its stretches nothing is known.
type Row struct {
	Label     string
	Stretches []Stretch
}

// Stretch is a part of the range. One without a State says nothing of good or bad: it has its Tone.
type Stretch struct {
	From, Until time.Time
	State       State
	Tone        int
	Word        string // gets connections
}

// ChartMark is a moment on the time axis: an incident, an act of an operator, a move of the VIP.
type ChartMark struct {
	Number int // in the list of them
	At     time.Time
	Until  time.Time // zero is a moment without length
	State  State
	Label  string
}

// NumbersID is where ChartNumbers stands.
func (c Chart) NumbersID() string { return c.ID + "-numbers" }

// Format is how the numbers of a chart are written.
type Format string

const (
	Plain   Format = "count"
	Things  Format = "whole" // clients, sessions: there is no half of one
	Seconds Format = "seconds"
	Size    Format = "bytes"
)

func (f Format) write(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case f == Seconds && v > 0 && v < 1e-4:
		return Rate(v*1e6) + " µs"
	case f == Seconds:
		return Took(time.Duration(v * float64(time.Second)))
	case f == Size:
		return Bytes(int64(v))
	case v == math.Trunc(v):
		return Count(int64(v))
	}
	return Rate(v)
}

// top is where the axis of a chart ends: a limit is in sight when the lines come near it.
func (c Chart) top() float64 {
	most := 0.0
	for _, l := range c.Lines {
		if v, ok := Series(l.Values).peak(); ok {
			most = max(most, v)
		}
	}
	if most <= 0 {
		return 1
	}
	if most*3 > c.Limit.Value {
		most = max(most, c.Limit.Value)
	}
	return most * 1.08
}

// limited reports whether the line of the limit is in sight.
func (c Chart) limited() bool { return c.Limit.Value > 0 && c.Limit.Value <= c.top() }

// summary is the least, the mean and the most of a line, and its last value.
func (l Line) summary() (least, mean, most, last float64) {
	least, mean, most, last = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	sum, n := 0.0, 0
	for _, v := range l.Values {
		if math.IsNaN(v) {
			continue
		}
		if n == 0 {
			least, most = v, v
		}
		least, most, last = min(least, v), max(most, v), v
		sum, n = sum+v, n+1
	}
	if n > 0 {
		mean = sum / float64(n)
	}
	return least, mean, most, last
}

func (c Chart) known() bool {
	for _, r := range c.Rows {
		if len(r.Stretches) > 0 {
			return true
		}
	}
	for _, l := range c.Lines {
		if Series(l.Values).Known() {
			return true
		}
	}
	return false
}

// data is the chart as the script reads it: times in seconds, gaps as null.
func (c Chart) data() string {
	type line struct {
		Label  string     `json:"label"`
		Tone   string     `json:"tone"`
		Dash   []int      `json:"dash,omitempty"`
		Values []*float64 `json:"values"`
	}
	type mark struct {
		Number int    `json:"number"`
		At     int64  `json:"at"`
		Until  int64  `json:"until,omitempty"`
		State  State  `json:"state"`
		Label  string `json:"label"`
	}
	out := struct {
		Times  []int64    `json:"times"`
		Lines  []line     `json:"lines"`
		Marks  []mark     `json:"marks"`
		Empty  [][2]int64 `json:"empty"`
		Top    float64    `json:"top"`
		Limit  float64    `json:"limit,omitempty"`
		Format Format     `json:"format"`
		Zone   string     `json:"zone"`
	}{Top: c.top(), Format: c.Format, Zone: c.Clock.zone().String()}
	if c.limited() {
		out.Limit = c.Limit.Value
	}
	for _, t := range c.Times {
		out.Times = append(out.Times, t.Unix())
	}
	for _, e := range c.Empty {
		out.Empty = append(out.Empty, [2]int64{e.From.Unix(), e.Until.Unix()})
	}
	for _, l := range c.Lines {
		j := line{Label: l.Label, Tone: tone(l.Tone), Dash: dashes[l.Tone%len(dashes)]}
		for _, v := range l.Values {
			if math.IsNaN(v) {
				j.Values = append(j.Values, nil)
				continue
			}
			j.Values = append(j.Values, &v)
		}
		out.Lines = append(out.Lines, j)
	}
	for _, m := range c.Marks {
		j := mark{Number: m.Number, At: m.At.Unix(), State: m.State, Label: m.Label}
		if !m.Until.IsZero() {
			j.Until = m.Until.Unix()
		}
		out.Marks = append(out.Marks, j)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return "{}" // numbers and text only: cannot be
	}
	return string(text)
}

// share is which part of a strip a stretch is, in its drawing.
func (c Chart) share(s Stretch) (x, width float64) {
	x, width, _ = c.band(ChartMark{At: s.From, Until: s.Until})
	return x, max(width, 1) // the shortest failure is seen
}

// changed reports whether a row has more than one word to say.
func (r Row) changed() bool {
	for _, s := range r.Stretches {
		if s.Word != r.Stretches[0].Word {
			return true
		}
	}
	return len(r.Stretches) == 0
}

// said is a row in one sentence: what it was last, and for how long what else.
func (c Chart) said(r Row) string {
	if len(r.Stretches) == 0 {
		return "nothing is known"
	}
	last := r.Stretches[len(r.Stretches)-1]
	var words []string
	lasted := map[string]time.Duration{}
	for _, s := range r.Stretches {
		if _, ok := lasted[s.Word]; !ok && s.Word != last.Word {
			words = append(words, s.Word)
		}
		lasted[s.Word] += s.Until.Sub(s.From)
	}
	switch {
	case len(r.Stretches) == 1:
		return last.Word + " all the time"
	case len(words) == 0:
		return last.Word + " in every sample"
	}
	for i, w := range words {
		words[i] = w + " for " + Span(lasted[w]) + " in all"
	}
	return last.Word + " at the end; " + strings.Join(words, ", ")
}
