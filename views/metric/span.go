package metric

import (
	"net/url"
	"strings"
	"time"

	"weir/views/ui"
)

// Range is a stretch of time that a page is about: the last while until now, or one that stands
// still. It is in the page's address, so that the address can be given to somebody else.
type Range struct {
	Name     string // 15m, 1h, 6h, 24h, 7d, 30d; "" is one that stands still
	From, To time.Time
}

// names are the ranges that end now.
var names = []struct {
	Name, Label string
	Length      time.Duration
}{
	{"15m", "15 min", 15 * time.Minute},
	{"1h", "1 h", time.Hour},
	{"6h", "6 h", 6 * time.Hour},
	{"24h", "24 h", 24 * time.Hour},
	{"7d", "7 days", 7 * 24 * time.Hour},
	{"30d", "30 days", 30 * 24 * time.Hour},
}

const usual = "1h"

// longest is how far back samples are kept.
const longest = 35 * 24 * time.Hour

// local is how the browser's field for a moment writes it.
const local = "2006-01-02T15:04"

// ParseRange reads range, or from and to, of an address; without either it is the last hour. Moments
// are RFC 3339, or as a form writes them: without a zone, which tz then names, as the one who made
// the address may live elsewhere. Wrong ones give the last hour, with their faults.
func ParseRange(q url.Values, c ui.Clock) (Range, ui.Faults) {
	if !q.Has("from") && !q.Has("to") {
		return last(q.Get("range"), c.Now), nil
	}
	zone := c.Zone
	if named, err := time.LoadLocation(q.Get("tz")); err == nil && q.Get("tz") != "" {
		zone = named
	}
	var faults ui.Faults
	moment := func(field string, otherwise time.Time) time.Time {
		text := q.Get(field)
		if text == "" {
			return otherwise
		}
		t, err := ParseMoment(text, zone)
		if err != nil {
			faults = append(faults, ui.Fault{Field: field, Message: "This is no date and time. Write it like 2026-11-23T14:05."})
		}
		return t
	}
	to := moment("to", c.Now)
	from := moment("from", to.Add(-time.Hour))
	switch {
	case faults != nil:
	case !from.Before(to):
		faults = ui.Faults{{Field: "to", Message: "The end has to be later than the beginning."}}
	case to.Sub(from) > longest:
		faults = ui.Faults{{Field: "from", Message: "Samples are kept for 35 days: that is the longest range."}}
	}
	if faults != nil {
		return last(usual, c.Now), faults
	}
	return Range{From: from, To: to}, nil
}

// ParseMoment reads RFC 3339, or what a browser's field says, which is in the zone; nil is UTC.
func ParseMoment(text string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if zone == nil {
		zone = time.UTC
	}
	if t, err := time.ParseInLocation(local, text, zone); err == nil {
		return t, nil
	}
	return time.ParseInLocation(local+":05", text, zone)
}

// last is the range of a name; of any other, that of the last hour. It ends at the last of its steps, so
// that all who look at it within one look at the same.
func last(name string, now time.Time) Range {
	for _, n := range names {
		if n.Name == name {
			to := now.Truncate(step(n.Length))
			return Range{Name: n.Name, From: to.Add(-n.Length), To: to}
		}
	}
	return last(usual, now)
}

// step is how often a range that ends now goes on: when there is another point to draw, but not more often
// than samples are made, nor so seldom that the page looks dead.
func step(length time.Duration) time.Duration {
	return min(max(length/Points, 10*time.Second), 5*time.Minute)
}

// long is how long the range is, without a second unit that is nothing: 1 h.
func (r Range) long() string {
	text := ui.Span(r.Length())
	for _, nothing := range []string{" 0 s", " 0 min", " 0 h"} {
		text = strings.TrimSuffix(text, nothing)
	}
	return text
}

// Length of the range.
func (r Range) Length() time.Duration { return r.To.Sub(r.From) }

// Query is the range as an address has it. It means the same to everybody.
func (r Range) Query() string {
	if r.Name != "" {
		return "range=" + r.Name
	}
	v := url.Values{"from": {r.From.UTC().Format(time.RFC3339)}, "to": {r.To.UTC().Format(time.RFC3339)}}
	return v.Encode()
}

// still is the range, standing still.
func (r Range) still() Range { return Range{From: r.From, To: r.To} }

// moved is the range before it, or after it.
func (r Range) moved(by int) Range {
	d := time.Duration(by) * r.Length()
	return Range{From: r.From.Add(d), To: r.To.Add(d)}
}
