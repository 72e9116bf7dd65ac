package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The drawing of a chart for those without a script. It is stretched to its place, so the words
// beside it are text of the page.
const stillWidth, stillHeight, stillPoints = 300.0, 100.0, 150

// dashes tell the lines of a chart apart without colour.
var dashes = [][]int{nil, {8, 4}, {2, 3}, {10, 3, 2, 3}, {5, 5}}

func dash(tone int) string {
	var out []string
	for _, n := range dashes[tone%len(dashes)] {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, " ")
}

// tone is the token of a line's colour: none of those that a state has.
func tone(i int) string { return "series-" + strconv.Itoa(i%len(dashes)+1) }

// path is one line of the chart, of the most of every few of its points: a gap in it is one in the
// drawing.
func (c Chart) path(l Line) string {
	var b strings.Builder
	top, few := c.top(), (len(l.Values)+stillPoints-1)/stillPoints
	most, x, n, drawn := 0.0, 0.0, 0, 0
	flush := func() {
		if n == 0 {
			return
		}
		letter := "L"
		if drawn == 0 {
			letter = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", letter, short(x), short(stillHeight-most/top*stillHeight))
		n, drawn = 0, drawn+1
	}
	for i, v := range l.Values {
		if math.IsNaN(v) {
			flush()
			if drawn == 1 {
				b.WriteString("h1") // a sample alone is seen too
			}
			drawn = 0
			continue
		}
		if n == 0 || v > most {
			most = v
			x, _ = c.at(c.Times[i])
		}
		if n++; n >= few {
			flush()
		}
	}
	flush()
	return b.String()
}

// at is where a moment lies on the axis, in per cent, and whether it lies on it.
func (c Chart) at(t time.Time) (x float64, ok bool) {
	if len(c.Times) < 2 {
		return 0, false
	}
	first, last := c.Times[0], c.Times[len(c.Times)-1]
	x = float64(t.Sub(first)) / float64(last.Sub(first)) * stillWidth
	return x, x >= 0 && x <= stillWidth
}

// band is where a mark begins on the axis and how wide it is; a moment has no width. ok is that it
// is seen at all.
func (c Chart) band(m ChartMark) (x, width float64, ok bool) {
	x, in := c.at(m.At)
	if m.Until.IsZero() {
		return x, 0, in
	}
	end, _ := c.at(m.Until)
	from, to := max(x, 0), min(end, stillWidth)
	return from, to - from, to > from
}
