package incident

import (
	"strings"
	"time"

	"weir/ops/incident"
	"weir/views/ui"
)

// kind is what a kind of cause is called.
type kind struct {
	Kind incident.Kind
	Word string
	Goes bool // its part goes down and comes up again; of all others one says that they are there, or not
}

// kinds are those that a cause can begin with, from clients to PostgreSQL: that of a pooler has one cause for
// whatever is wrong with it, an order included.
var kinds = []kind{
	{incident.VIPNobody, "VIP held by nobody", false},
	{incident.VIPTwice, "VIP held twice", false},
	{incident.VIPMoved, "VIP moved", false},
	{incident.VIPOrdered, "node held back from the VIP", false},
	{incident.NoHAProxy, "no HAProxy answers", true},
	{incident.HAProxyUnreachable, "HAProxy unreachable", true},
	{incident.HAProxyUnread, "HAProxy not readable", false},
	{incident.KeepalivedDead, "keepalived dead", true},
	{incident.RedundancyLost, "redundancy lost", false},
	{incident.NoPooler, "no pooler serving", false},
	{incident.PoolerDown, "pooler down or held back", true},
	{incident.PoolerUnseen, "pooler not readable", false},
	{incident.PoolerDisputed, "HAProxies disagree", false},
	{incident.PoolPaused, "pools paused", false},
	{incident.PauseForgotten, "pause not ended", false},
	{incident.ClientsWaiting, "clients wait", false},
	{incident.PlacesUsed, "client places used up", false},
	{incident.NoSpare, "no pooler to spare", false},
	{incident.PostgresDown, "PostgreSQL down", true},
	{incident.PostgresUnseen, "PostgreSQL not readable", false},
	{incident.PostgresUnreachable, "no query gets through", false},
	{incident.ConnectionsHigh, "connections used up", false},
	{incident.TransactionLong, "long transaction", false},
	{incident.TransactionIdle, "idle in transaction", false},
	{incident.XIDAge, "transaction ID age", false},
	{incident.MonitorBlind, "monitor blind", false},
}

// Kinds are all that an incident can be asked for by.
func Kinds() (out []incident.Kind) {
	for _, k := range kinds {
		out = append(out, k.Kind)
	}
	return out
}

func known(k incident.Kind) (kind, bool) {
	for _, one := range kinds {
		if one.Kind == k {
			return one, true
		}
	}
	return kind{Kind: k, Word: strings.ReplaceAll(string(k), "-", " ")}, false
}

// word is what is wrong, in a word or two.
func (i Incident) word() string {
	switch k, _ := known(i.Kind()); {
	case i.Kind() == incident.PoolerDown && i.Planned:
		return "pooler held back"
	case i.Kind() == incident.PoolerDown:
		return "pooler down"
	default:
		return k.Word
	}
}

// symptom is a cause in words: pgb2: pooler down.
func symptom(cause string) string {
	i := Incident{Cause: cause}
	if _, host, of := strings.Cut(cause, "/"); of {
		return host + ": " + i.word()
	}
	return i.word()
}

// up and down are what one says of an incident that is gone, perhaps not for long, and of one that is there.
func (i Incident) up() string {
	if k, _ := known(i.Kind()); k.Goes {
		return "up"
	}
	return "gone"
}

func (i Incident) down() string {
	if k, _ := known(i.Kind()); k.Goes {
		return "down"
	}
	return "there"
}

// present is how an unsteady incident is now, and since when; "" is not known.
func (i Incident) present() (string, time.Time) {
	k, _ := known(i.Kind())
	switch {
	case !i.Gone.IsZero() && k.Goes:
		return "Up again", i.Gone
	case !i.Gone.IsZero():
		return "Gone", i.Gone
	case i.Since.IsZero():
		return "", time.Time{}
	case k.Goes:
		return "Down again", i.Since
	}
	return "Back", i.Since
}

// Unsteady reports whether it has gone and come back, or may come back any moment: then its title alone
// would tell of its worst moment.
func (i Incident) Unsteady() bool {
	return i.Open() && !i.Planned && (i.State == incident.Flapping || !i.Gone.IsZero())
}

// Back reports whether it is there again, and stays so far.
func (i Incident) Back() bool {
	return i.Open() && i.Flaps > 0 && i.State != incident.Flapping && i.Gone.IsZero() && !i.Since.IsZero()
}

// ends is when an incident that flaps is resolved, if it stays gone; zero is not known.
func (i Incident) ends() time.Time {
	if i.State != incident.Flapping || i.Gone.IsZero() {
		return time.Time{}
	}
	return i.Gone.Add(incident.DefaultRules(nil).Quiet)
}

// often is how many times it was there.
func (i Incident) often() string {
	if k, _ := known(i.Kind()); k.Goes {
		return "It went down " + ui.Counted(i.Flaps+1, "time")
	}
	return "It was there " + ui.Counted(i.Flaps+1, "time")
}
