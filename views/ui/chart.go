package ui

import (
	"encoding/json"
	"math"
	"time"
)

// Chart is a range chart. Its data stands in the page, as an attribute that the script reads; who
// has no script, or does not see, gets a table of what every line comes to.
type Chart struct {
	ID     string
	Title  string
	Format Format
	Times  []time.Time
	Lines  []Line
	Marks  []ChartMark
	Clock  Clock
}

// Line is one series of a chart, as long as its Times; NaN is a gap.
type Line struct {
	Label  string
	Values []float64
}

// ChartMark is a moment on the time axis: an incident, an act of an operator, a move of the VIP.
type ChartMark struct {
	At    time.Time
	Until time.Time // zero is a moment without length
	State State
	Label string
}

// NumbersID is where ChartNumbers stands.
func (c Chart) NumbersID() string { return c.ID + "-numbers" }

// Format is how the numbers of a chart are written.
type Format string

const (
	Plain   Format = "count"
	Seconds Format = "seconds"
	Size    Format = "bytes"
)

func (f Format) write(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case f == Seconds:
		return Took(time.Duration(v * float64(time.Second)))
	case f == Size:
		return Bytes(int64(v))
	}
	return Rate(v)
}

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
		Values []*float64 `json:"values"`
	}
	type mark struct {
		At    int64  `json:"at"`
		Until int64  `json:"until,omitempty"`
		State State  `json:"state"`
		Label string `json:"label"`
	}
	out := struct {
		Times  []int64 `json:"times"`
		Lines  []line  `json:"lines"`
		Marks  []mark  `json:"marks"`
		Format Format  `json:"format"`
		Zone   string  `json:"zone"`
	}{Format: c.Format, Zone: c.Clock.zone().String()}
	for _, t := range c.Times {
		out.Times = append(out.Times, t.Unix())
	}
	for _, l := range c.Lines {
		j := line{Label: l.Label}
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
		j := mark{At: m.At.Unix(), State: m.State, Label: m.Label}
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
