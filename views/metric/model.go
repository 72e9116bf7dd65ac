// Package metric is the page of the numbers' history: charts over a range that stands in the address,
// with what happened in it marked on their axes. Other pages draw single charts with it.
package metric

import (
	"slices"
	"time"

	"weir/views/layout"
	"weir/views/ui"
)

// Model is the page /history?range=1h or ?from=...&to=...
type Model struct {
	Clock  ui.Clock
	Range  Range
	Faults ui.Faults // of ParseRange
	From   string    // as entered, when it is wrong
	To     string
	Series map[Metric][]Series
	Marks  []Mark // those that lie in the range, or reach into it
	ui.Missing
}

// Metrics are all that the page draws, in its order: what the handler has to ask for.
func Metrics() []Metric {
	var out []Metric
	for _, g := range Groups {
		for _, s := range g.Specs {
			out = append(out, s.Metric)
		}
	}
	return out
}

// CSV is where the numbers of the range are downloaded.
func (m Model) CSV() string { return string(layout.Metrics) + "/csv?" + m.Range.still().Query() }

func at(r Range) string { return string(layout.Metrics) + "?" + r.Query() }

func (m Model) chart(s Spec) ui.Chart {
	return Chart(string(s.Metric), s, m.Series[s.Metric], m.Marks, m.Range, m.Clock)
}

// Fragments are what the stream keeps current. While there is no history to be had, the charts stay as
// they were; a range that stands still has none.
func (m Model) Fragments() []layout.Fragment {
	if m.Range.Name == "" {
		return nil
	}
	list := []layout.Fragment{m.span(), m.state()}
	if m.Missing.Is() {
		return list
	}
	list = append(list, m.happened())
	for _, g := range Groups {
		for _, s := range g.Specs {
			c := m.chart(s)
			list = append(list, layout.Fragment{ID: c.NumbersID(), Body: ui.ChartNumbers(c)})
		}
	}
	return list
}

func (m Model) span() layout.Fragment  { return layout.Fragment{ID: "span", Body: span(m)} }
func (m Model) state() layout.Fragment { return layout.Fragment{ID: "state", Body: state(m)} }
func (m Model) happened() layout.Fragment {
	return layout.Fragment{ID: "happened", Body: happened(m)}
}

// numbered is a mark with its number on the axes.
type numbered struct {
	Mark
	Number int
}

// marks are what happened in the range, the newest first.
func (m Model) marks() (out []numbered) {
	for i, k := range inOrder(m.Marks) {
		out = append(out, numbered{k, i + 1})
	}
	slices.Reverse(out)
	return out
}

// stretch is the range as people say it, with the day of each end: 23 Nov 18:08 to 19:08 CET.
func (m Model) stretch() (from, to string) {
	a, b := m.Range.From.In(m.zone()), m.Range.To.In(m.zone())
	day, clock := "2 Jan ", "15:04"
	if a.Year() != m.Clock.Now.In(m.zone()).Year() {
		day = "2 Jan 2006 "
	}
	if m.Range.Length() < time.Hour {
		clock = "15:04:05"
	}
	from, to = a.Format(day+clock), b.Format(clock+" MST")
	if a.YearDay() != b.YearDay() || a.Year() != b.Year() {
		to = b.Format(day + clock + " MST")
	}
	return from, to
}

// empty reports whether there is no sample at all.
func (m Model) empty() bool {
	for _, list := range m.Series {
		for _, s := range list {
			if len(s.Points) > 0 {
				return false
			}
		}
	}
	return true
}

// later reports whether there is anything behind the range.
func (m Model) later() bool { return m.Range.Name == "" && m.Range.To.Before(m.Clock.Now) }

func (m Model) field(name, label, entered string, moment time.Time) ui.Input {
	return MomentField(name, label, entered, m.Faults.Of(name), moment, m.zone())
}

// MomentField asks for a moment, which ParseMoment reads. entered is what was typed and is wrong; a
// zero moment leaves the field empty.
func MomentField(name, label, entered, wrong string, moment time.Time, zone *time.Location) ui.Input {
	i := ui.Input{Name: name, Label: label, Type: "datetime-local", Value: entered, Wrong: wrong}
	if entered == "" && !moment.IsZero() {
		i.Value = moment.In(zone).Format(local)
	}
	if _, err := time.Parse(local, i.Value); i.Value != "" && err != nil {
		i.Type = "" // a browser's field for moments would drop it
	}
	return i
}

func (m Model) zone() *time.Location {
	if m.Clock.Zone == nil {
		return time.UTC
	}
	return m.Clock.Zone
}

var kinds = map[MarkKind]string{Incident: "Incident", Act: "Operator", Move: "VIP"}
