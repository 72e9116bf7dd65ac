package incident

import (
	"path"
	"slices"
	"strconv"
	"time"
)

// Reason to speak.
type Reason string

const (
	None      Reason = "none"
	First     Reason = "first"
	Again     Reason = "reopened"  // it was told to be over, and is not
	Louder    Reason = "escalated" // it became more severe, or stopped flapping and stays
	Unsteady  Reason = "flapping"
	Other     Reason = "changed" // the same incident by another title: for messages that can be edited
	Intended  Reason = "planned" // an operator took it over
	Remind    Reason = "reminder"
	RecoverOK Reason = "resolved"
)

// Said is what people were told of an incident last.
type Said struct {
	Count     int       `json:"count"` // of all things said
	First     time.Time `json:"first,omitzero"`
	State     State     `json:"state,omitempty"`
	Severity  Severity  `json:"severity,omitempty"`
	Title     string    `json:"title,omitempty"`
	Reminders int       `json:"reminders,omitempty"`
}

// Silence is who wanted to hear nothing about what, and until when.
type Silence struct {
	Cause   string // glob over Incident.Cause, where * does not cross a slash; "*" alone is every cause
	Subject string // host; "" is every host
	From    time.Time
	Until   time.Time
}

// Covers reports whether it keeps what is said of an incident back.
func (s Silence) Covers(i Incident, at time.Time) bool {
	if at.Before(s.From) || !at.Before(s.Until) || s.Subject != "" && s.Subject != i.Subject {
		return false
	}
	match, err := path.Match(s.Cause, i.Cause)
	return s.Cause == "*" || err == nil && match
}

// Wishes is what people asked for.
type Wishes struct {
	Silences     []Silence
	Acknowledged map[string]bool // by incident ID
}

// Policy says how often to remind.
type Policy struct {
	Reminders []time.Duration // after the first message; no more than these
	Late      time.Duration   // what was never told and is over for longer is not worth telling
}

// DefaultPolicy reminds three times in all.
func DefaultPolicy() Policy {
	return Policy{Reminders: []time.Duration{30 * time.Minute, 2 * time.Hour, 8 * time.Hour}, Late: 5 * time.Minute}
}

// Decision is whether to speak, and what came before.
type Decision struct {
	Reason    Reason
	Key       string // names this message: the same decision taken again after a crash has the same
	Text      string // one line
	Reminders int    // that are due by now: one stands for all that could not be said, as during a silence
}

// Speak decides from an incident alone, and from what was said of it: a monitor that died between
// deciding and saying decides the same again. An acknowledged incident sends no reminders. During
// a silence nothing is said, and what is then still true is said after it.
func (p Policy) Speak(i Incident, w Wishes, now time.Time) Decision {
	reason := p.reason(i, w, now)
	if reason == None {
		return Decision{Reason: None}
	}
	return Decision{Reason: reason, Key: key(i), Text: headline(i, reason, now),
		Reminders: p.remindersDue(i.Said, now)}
}

// EndKey is how the key of an end ends. What was said last before a crash may not have been noted:
// the end that the next monitor sees has the same number, and is another message.
const EndKey = "/ok"

func key(i Incident) string {
	k := i.ID + "/" + strconv.Itoa(i.Said.Count+1)
	if i.State == OK {
		k += EndKey
	}
	return k
}

func (p Policy) reason(i Incident, w Wishes, now time.Time) Reason {
	if i.ID == "" || i.State == Suspect || i.State == Recovering || silenced(i, w.Silences, now) {
		return None
	}
	switch said := i.Said; {
	case i.State == Planned:
		if said.State.fires() {
			return Intended
		}
		return None
	case i.State == OK:
		return p.end(i, w, now)
	case said.Count == 0:
		return First
	case said.State == OK || said.State == Planned:
		return Again
	case i.State == Flapping && said.State != Flapping:
		return Unsteady
	case i.State == Firing && said.State == Flapping, loudness[i.Severity] > loudness[said.Severity]:
		return Louder
	case i.State == Firing && i.Title != said.Title:
		return Other
	case p.remindersDue(said, now) > said.Reminders && !w.Acknowledged[i.ID]:
		return Remind
	}
	return None
}

// end is said once, of what was told: and of what was over before it could be. Where the VIP moved to is said each time.
func (p Policy) end(i Incident, w Wishes, now time.Time) Reason {
	switch {
	case i.owed():
		return RecoverOK
	case i.Planned, now.Sub(i.ResolvedAt) >= p.Late, silenced(i, w.Silences, i.ResolvedAt):
		return None
	case i.Said.Count == 0:
		return First
	case i.Kind == VIPMoved && i.Title != i.Said.Title: // it is not where was told
		return Again
	}
	return None
}

// remindersDue is how many there should have been by now.
func (p Policy) remindersDue(s Said, now time.Time) int {
	due := 0
	for _, after := range p.Reminders {
		if now.Sub(s.First) >= after {
			due++
		}
	}
	return due
}

func silenced(i Incident, silences []Silence, at time.Time) bool {
	for _, s := range silences {
		if s.Covers(i, at) {
			return true
		}
	}
	return false
}

func headline(i Incident, r Reason, now time.Time) string {
	switch {
	case r == RecoverOK:
		return i.Title + ": resolved after " + Span(i.Lasted(now))
	case r == Remind:
		return i.Title + ": still, since " + Span(i.Lasted(now))
	case r == First, i.State == OK:
		return i.Title + ". " + i.Impact
	}
	return i.Title + ": " + string(r) + ". " + i.Impact
}

// Note is the book after a decision was handed on to be delivered.
func (b Book) Note(i Incident, d Decision, now time.Time) Book {
	if n := slices.IndexFunc(b.Ended, func(e Incident) bool { return e.ID == i.ID }); n >= 0 && d.Reason != None {
		b.Ended = slices.Delete(slices.Clone(b.Ended), n, n+1)
		return b
	}
	e, known := b.Entries[i.Cause]
	if !known || e.Incident.ID != i.ID || d.Reason == None {
		return b
	}
	said := &e.Incident.Said
	if said.Count == 0 {
		said.First = now
	}
	if d.Reason == Remind {
		said.Reminders = d.Reminders
	}
	said.Count++
	said.State, said.Severity, said.Title = i.State, i.Severity, i.Title
	return b.with(i.Cause, e)
}

func (b Book) with(cause string, e Entry) Book {
	entries := make(map[string]Entry, len(b.Entries))
	for c, other := range b.Entries {
		entries[c] = other
	}
	entries[cause] = e
	b.Entries = entries
	return b
}
