// Package ui is the parts that pages share: how a state looks, how old something is, numbers with
// their limits, tables' empty states, forms that confirm an order.
//
// Two rules hold for all of them. Nothing depends on colour: every State has its own shape, word and
// edge. And nothing depends on a style attribute or a script in the page: the policy allows neither,
// so widths are SVG presentation attributes.
package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"weir/ops/word"
)

// State is how a thing is, as far as its look goes. The order is that of loudness.
type State string

const (
	OK       State = "ok"
	Planned  State = "planned"  // an operator's doing: not an outage
	Stale    State = "stale"    // known once, and not heard since
	Unknown  State = "unknown"  // never known
	Warning  State = "warning"  // wants somebody by day
	Critical State = "critical" // wants somebody now
)

var loudness = map[State]int{OK: 0, Planned: 1, Stale: 2, Unknown: 3, Warning: 4, Critical: 5}

// Louder is the louder of two states.
func Louder(a, b State) State {
	if loudness[b] > loudness[a] {
		return b
	}
	return a
}

// stateWord is the state's own, for those who see neither shape nor colour.
var stateWord = map[State]string{OK: "OK", Planned: "planned", Stale: "stale", Unknown: "unknown", Warning: "warning", Critical: "critical"}

// Clock is the moment a page is about, and the zone its reader is in. The zero Zone is UTC.
type Clock struct {
	Now  time.Time
	Zone *time.Location
}

func (c Clock) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// Exact is a moment to the second with its zone: 2026-11-23 14:02:07 CET.
func (c Clock) Exact(t time.Time) string {
	return t.In(c.zone()).Format("2006-01-02 15:04:05 MST")
}

// Short is a moment as it is written in a list: 14:02:07, or 23 Nov 14:02 on another day, with the
// year when it is another.
func (c Clock) Short(t time.Time) string {
	t, now := t.In(c.zone()), c.Now.In(c.zone())
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// Zoned is Short with the zone: for a moment that people tell each other.
func (c Clock) Zoned(t time.Time) string { return c.Short(t) + " " + t.In(c.zone()).Format("MST") }

// machine is a moment as the attribute datetime has it.
func machine(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Span is a duration in at most two whole units: 3 s, 4 min 5 s, 2 h 10 min, 3 d 4 h. The script of
// the pages counts on in the same words.
func Span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// Took is a short duration with the digits that matter: 0.24 ms, 3.1 ms, 840 ms, 1.2 s, 4 min 5 s.
func Took(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "0 ms"
	case ms < 1:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Span(d)
}

// Count writes 12345 as 12,345.
func Count[T ~int | ~int64](n T) string {
	return word.Count(n)
}

// Counted is a number with its noun: 1 pooler, 2 poolers.
func Counted[T ~int | ~int64](n T, noun string) string {
	return word.Counted(n, noun)
}

// Whole writes a number of things that come whole.
func Whole(v float64) string { return Count(int64(math.Round(v))) }

// Mean is Took for a mean: a dash when there was nothing to take one of.
func Mean(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	return Took(d)
}

// Rate writes a number a second with the digits that matter: 0.4, 12, 1,480.
func Rate(v float64) string {
	if v > 0 && v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return Count(int64(math.Round(v)))
}

// Bytes writes 1536 as 1.5 KiB.
func Bytes(n int64) string {
	if n < 1024 {
		return Count(n) + " B"
	}
	v, unit := float64(n), -1
	for v >= 1024 && unit < 4 {
		v, unit = v/1024, unit+1
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %ciB", v, "KMGTP"[unit])
}

// Percent of a whole, rounded down so that 100 means all; 0 of nothing.
func Percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return part * 100 / whole
}

// Gauge is a number that has a limit.
type Gauge struct {
	Label       string
	Value       int64
	Limit       int64  // 0 is none: the bar is left out
	Warn, Alarm int64  // in per cent of the limit; 0 is never
	Unit        string // behind the numbers: clients
}

// State says which of its limits a gauge has passed.
func (g Gauge) State() State {
	p := Percent(g.Value, g.Limit)
	switch {
	case g.Limit <= 0:
		return OK
	case g.Alarm > 0 && p >= g.Alarm:
		return Critical
	case g.Warn > 0 && p >= g.Warn:
		return Warning
	}
	return OK
}

// width is the bar's, in per cent: a little of something is never nothing.
func (g Gauge) width() string {
	p := float64(g.Value) * 100 / float64(max(g.Limit, 1))
	if g.Value > 0 {
		p = max(p, 1)
	}
	return strconv.FormatFloat(min(p, 100), 'f', 1, 64) + "%"
}

func (g Gauge) text() string {
	if g.Limit <= 0 {
		return Count(g.Value)
	}
	return Count(g.Value) + " of " + Count(g.Limit)
}

// Series is a number's last while, oldest first, at equal distances. NaN is a gap: nothing is known.
type Series []float64

// Trend is the last 15 minutes of a number as a small line.
type Trend struct {
	Label  string // clients
	Series Series
	Format func(float64) string // of the least and the most; nil is Rate
}

// the drawing area of a sparkline; the browser stretches it.
const trendWidth, trendHeight = 120.0, 24.0

// peak is the most of a series, and whether any of it is known.
func (s Series) peak() (most float64, known bool) {
	for _, v := range s {
		if !math.IsNaN(v) {
			most, known = max(most, v), true
		}
	}
	return most, known
}

// Known reports whether there is anything to draw.
func (s Series) Known() bool { _, ok := s.peak(); return ok }

func (t Trend) format(v float64) string {
	if t.Format == nil {
		return Rate(v)
	}
	return t.Format(v)
}

// knownFrom is the first point that is known; all of them when none is.
func (s Series) knownFrom() int {
	for i, v := range s {
		if !math.IsNaN(v) {
			return i
		}
	}
	return len(s)
}

// before is the base line of what lies before anything was known; "" is nothing.
func (t Trend) before() string {
	from := t.Series.knownFrom()
	if from == len(t.Series) {
		return "M0 23.5H" + short(trendWidth)
	}
	if from == 0 {
		return ""
	}
	return "M0 23.5H" + short(trendWidth*float64(from)/float64(len(t.Series)-1))
}

// paths are the line and the area below it. The axis begins at 0 and a gap in the series is one in
// the line; coordinates have one digit, as a page has a dozen of these.
func (t Trend) paths() (line, area string) {
	most, _ := t.Series.peak()
	if most <= 0 {
		most = 1
	}
	var l, a strings.Builder
	step := trendWidth / float64(max(len(t.Series)-1, 1))
	open, last, points := false, 0.0, 0
	stop := func() {
		if open && points == 1 {
			l.WriteString("h-2") // a point alone is seen too
		}
		if open {
			fmt.Fprintf(&a, "V%sH%s", short(trendHeight), short(last))
		}
		open = false
	}
	start := 0.0
	for i, v := range t.Series {
		x, y := float64(i)*step, trendHeight-v/most*(trendHeight-2)
		switch {
		case math.IsNaN(v):
			if open {
				last = start
				stop()
			}
		case !open:
			open, start, points = true, x, 0
			l.WriteString("M" + short(x) + " " + short(y))
			a.WriteString("M" + short(x) + " " + short(y))
		default:
			l.WriteString("L" + short(x) + " " + short(y))
			a.WriteString("L" + short(x) + " " + short(y))
		}
		if open {
			points++
		}
	}
	last = start
	stop()
	return l.String(), a.String()
}

func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// Thin makes a series of at most n points of it, each the most of its stretch: a peak is not lost.
func (s Series) Thin(n int) Series {
	if len(s) <= n || n < 1 {
		return s
	}
	out := make(Series, n)
	for i := range out {
		out[i] = math.NaN()
		for _, v := range s[i*len(s)/n : (i+1)*len(s)/n] {
			if !math.IsNaN(v) && (math.IsNaN(out[i]) || v > out[i]) {
				out[i] = v
			}
		}
	}
	return out
}

// Fault is something wrong with what a person entered, or with what they asked for.
type Fault struct {
	Field   string // name of the field; "" is about the whole
	Message string
}

// Faults are those of one form.
type Faults []Fault

// Of is what is wrong with one field; "" is nothing.
func (f Faults) Of(field string) string {
	for _, fault := range f {
		if fault.Field == field {
			return fault.Message
		}
	}
	return ""
}

// Rest are the faults that belong to none of the fields.
func (f Faults) Rest(fields ...string) []string {
	var out []string
next:
	for _, fault := range f {
		for _, name := range fields {
			if fault.Field == name {
				continue next
			}
		}
		out = append(out, fault.Message)
	}
	return out
}

// Input is one field of a form.
type Input struct {
	Name, Label, Hint string
	Type              string // "" is text
	Value             string
	Wrong             string // what is wrong with it
	Autocomplete      string // username, current-password, new-password, one-time-code, off
	Mode              string // inputmode: numeric
	Required, Focus   bool
	Min, Max          int // length; 0 is not said
	Rows              int // more than 0 is a textarea
	Options           []Option
}

// Hidden is a value that a form carries along.
type Hidden struct{ Name, Value string }

// Option is one choice of a select.
type Option struct{ Value, Label string }

// describedBy names what a field is explained by, for screen readers.
func (i Input) describedBy() string {
	var ids []string
	if i.Wrong != "" {
		ids = append(ids, i.Name+"-wrong")
	}
	if i.Hint != "" {
		ids = append(ids, i.Name+"-hint")
	}
	return strings.Join(ids, " ")
}

func (i Input) kind() string {
	if i.Type == "" {
		return "text"
	}
	return i.Type
}

// Confirm is the page between wanting something and having it done: what it is about, what will
// happen, a reason, and the two ways out. The same URL takes the POST.
type Confirm struct {
	Action string   // URL of the POST
	Title  string   // Drain pgb2?
	Say    string   // one sentence of what the verb means
	Submit string   // Drain pgb2
	Busy   string   // Draining pgb2 …
	Cancel string   // URL to go back to
	Danger bool     // disconnects clients
	Reason bool     // must be given
	Hidden []Hidden // further values that the POST needs
	Fields []Input  // in front of the reason
	Verdict
}

// Verdict is what came of an order so far: of its dry run, or of an attempt.
type Verdict struct {
	Text    string   // the reason, as entered
	Effects []string // of the pre-flight
	Refused []string // of the pre-flight: with any of these it cannot be done
	Failed  []string // what an attempt came to, line by line
	Faults  Faults
	Checked time.Time // when the pre-flight looked; zero leaves it out
	Clock   Clock
}

func (c Confirm) rest() []string {
	names := []string{"reason"}
	for _, f := range c.Fields {
		names = append(names, f.Name)
	}
	return c.Faults.Rest(names...)
}

// Notice is what came of something that was just done, shown once on the page that follows.
type Notice struct {
	State State
	Title string
	Lines []string
}

// Pager leads through a list. A URL that is "" is no page.
type Pager struct {
	Newer, Older string
	Shown        int
	Noun         string // incident
}
