package chain

import (
	"slices"
	"strings"
	"time"
)

// Pause is an order that holds clients back, by its record.
type Pause struct {
	Poolers    []string
	Database   string // "" is all of them
	By, Reason string
	Ends       time.Time // by itself; zero is that nobody left a record of it
}

// Paused are the pauses that hold clients back now, one for each order: of one pooler, or with "" of all. What is
// paused without a record was paused on a pooler's own console, and ends when somebody ends it.
func (v View) Paused(pooler string) []Pause {
	var out []Pause
	for _, p := range v.Snapshot.Poolers {
		if pooler != "" && p.Name != pooler || !p.View.Known() {
			continue
		}
		for _, database := range p.View.Value.Paused() {
			is := v.recorded(p.Name, strings.TrimPrefix(database, "*"))
			if is.Ends.IsZero() && v.PausesUnread {
				continue // it may have one
			}
			same := slices.IndexFunc(out, func(o Pause) bool {
				return o.By == is.By && o.Reason == is.Reason && o.Database == is.Database && o.Ends.Equal(is.Ends)
			})
			if same < 0 {
				out = append(out, is)
				same = len(out) - 1
			}
			out[same].Poolers = append(out[same].Poolers, p.Name)
		}
	}
	return out
}

// recorded is what the record of a pause says, for none of its poolers yet.
func (v View) recorded(pooler, database string) Pause {
	for _, p := range v.Pauses {
		if p.Database == database && slices.Contains(p.Poolers, pooler) {
			return Pause{Database: database, By: p.By, Reason: p.Reason, Ends: p.Ends}
		}
	}
	return Pause{Database: database}
}

// Who is what a pause is of: pgb1 and pgb2, database app.
func (p Pause) Who() string {
	who := strings.Join(p.Poolers, ", ")
	if last := len(p.Poolers) - 1; last > 0 {
		who = strings.Join(p.Poolers[:last], ", ") + " and " + p.Poolers[last]
	}
	if p.Database != "" {
		who += ", database " + p.Database
	}
	return who
}
