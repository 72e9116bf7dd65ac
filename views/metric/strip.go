package metric

import (
	"strings"
	"time"

	"weir/ops/inventory"
	"weir/views/ui"
)

func (s Spec) strip() bool { return s.Words != nil || s.Metric == Holder }

// rows are what each subject was, stretch by stretch, until the end of the axis. Points that say the same
// and follow each other are one.
func rows(s Spec, series []Series, end time.Time) []ui.Row {
	out := []ui.Row{}
	for _, one := range series {
		row := ui.Row{}
		if len(series) > 1 {
			row.Label = strings.ReplaceAll(one.Subject, "/", " → ")
		}
		usual := usualDistance(moments(one.Points))
		for i, p := range one.Points {
			until := p.At.Add(usual)
			if i+1 < len(one.Points) && one.Points[i+1].At.Sub(p.At) <= usual*5/2 {
				until = one.Points[i+1].At
			}
			if until.After(end) {
				until = end
			}
			row.Stretches = joined(row.Stretches, s.stretch(one, p, until))
		}
		out = append(out, row)
	}
	return out
}

func moments(points []Point) []time.Time {
	out := make([]time.Time, len(points))
	for i, p := range points {
		out[i] = p.At
	}
	return out
}

func joined(list []ui.Stretch, next ui.Stretch) []ui.Stretch {
	if n := len(list); n > 0 && list[n-1].Word == next.Word && list[n-1].Until.Equal(next.From) {
		list[n-1].Until = next.Until
		return list
	}
	return append(list, next)
}

// stretch is one point of a strip in words. A mean would say nothing: which of the two, or both.
func (s Spec) stretch(of Series, p Point, until time.Time) ui.Stretch {
	out := ui.Stretch{From: p.At, Until: until}
	switch {
	case s.Words == nil && p.Min != p.Most:
		out.State, out.Word = ui.Planned, "moved between "+of.name(p.Min)+" and "+of.name(p.Most)
	case s.Words == nil:
		out.Word, out.Tone = of.name(p.Most), of.Tone+int(p.Most)-1
	case p.Min >= 1:
		out.State, out.Word = ui.OK, s.Words.One
	case p.Most <= 0:
		out.State, out.Word = s.Words.Down, s.Words.Zero
	default:
		out.State, out.Word = ui.Warning, s.Words.Both
	}
	return out
}

// name is what a number of the series stands for.
func (s Series) name(n float64) string {
	if i := int(n) - 1; i >= 0 && i < len(s.Names) {
		return s.Names[i]
	}
	return "a node that is not in the inventory"
}

// Dressed gives series of a metric what the inventory knows of them: a colour for each host that is the same
// in every chart, the limit of the number, and names.
func Dressed(m Metric, list []Series, inv *inventory.Inventory) []Series {
	tones := map[string]int{}
	for i, p := range inv.PgBouncer.Poolers {
		tones[p.Name] = i
	}
	var nodes []string
	for i, n := range inv.HAProxy.Nodes {
		tones[n.Name], nodes = len(inv.PgBouncer.Poolers)+i, append(nodes, n.Name)
	}
	limit := limitOf(m, inv)
	for i := range list {
		list[i].Dress = Dress{Tone: tones[list[i].Subject], Limit: limit}
		if m == Holder {
			list[i].Tone, list[i].Names = len(inv.PgBouncer.Poolers), nodes
		}
	}
	return list
}

// xidLimit is about where PostgreSQL refuses to write.
const xidLimit = 1 << 31

// limitOf is what no value of a metric goes beyond.
func limitOf(m Metric, inv *inventory.Inventory) ui.Limit {
	switch m {
	case Clients:
		return ui.Limit{Label: "client places of each", Value: float64(inv.PgBouncer.MaxClientConn)}
	case Servers, ServersActive:
		return ui.Limit{Label: "limit of each", Value: float64(inv.Budget().ServersEach)}
	case Connections:
		return ui.Limit{Label: "max_connections", Value: float64(inv.Postgres.MaxConnections)}
	case XIDAge:
		return ui.Limit{Label: "PostgreSQL refuses to write at", Value: xidLimit}
	}
	return ui.Limit{}
}
