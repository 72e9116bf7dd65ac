package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Incident is what a cause came to, from the moment it was believed.
type Incident struct {
	Finding
	ID         string    `json:"id"` // UUID version 7
	State      State     `json:"state"`
	Seq        int64     `json:"seq"`      // of its last transition; the first is 1
	Flaps      int       `json:"flaps"`    // times it came back
	Symptoms   []string  `json:"symptoms"` // causes that it explained so far, sorted
	OpenedAt   time.Time `json:"opened_at"`
	Since      time.Time `json:"since"`         // of its present, or last, time of being there
	Gone       time.Time `json:"gone,omitzero"` // since when an open one has not been there; zero while it is
	UpdatedAt  time.Time `json:"updated_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`

	Well time.Duration `json:"well,omitempty"` // how long it was over, each time before it was opened again
	Said Said          `json:"said"`
}

// Open reports whether it is not over.
func (i Incident) Open() bool { return i.ID != "" && i.State != OK && i.State != Suspect }

// owed says that people were told of it, and not of its end.
func (i Incident) owed() bool { return i.Said.Count > 0 && i.Said.State != OK }

// Lasted is how long it was open, or has been: what came and went meanwhile counts as a whole, and the time
// when it was over does not.
func (i Incident) Lasted(now time.Time) time.Duration {
	until := i.ResolvedAt
	if until.IsZero() {
		until = now
	}
	return until.Sub(i.OpenedAt) - i.Well
}

// Before says that a fault was open before another that would explain it, and so has a cause of its own: it will
// still be there after that one. What is planned is no fault, and what is found of one part grows: not readable,
// then down.
func (i Incident) Before(root Incident) bool {
	return i.Open() && !i.Planned && i.Subject != root.Subject && root.OpenedAt.Sub(i.OpenedAt) > sameFault
}

// sameFault is how far apart the signs of one fault are seen: a symptom may be believed sooner than its root.
const sameFault = 10 * time.Second

// Entry is all that is remembered of one cause.
type Entry struct {
	Incident Incident      `json:"incident"`         // without an ID while it is only suspected
	Seen     time.Time     `json:"seen,omitzero"`    // since when it has been there without a break; zero while it is not
	Sure     time.Time     `json:"sure,omitzero"`    // since when without a break on evidence that could open it
	Gone     time.Time     `json:"gone,omitzero"`    // since when it has not
	Ordered  time.Time     `json:"ordered,omitzero"` // when it was last seen as an operator's doing
	Covered  time.Time     `json:"covered,omitzero"` // when another incident explained it last
	Moment   time.Time     `json:"moment,omitzero"`  // of the last Finding.Moment that was counted
	Fired    []time.Time   `json:"fired,omitempty"`  // its beginnings, within Rules.Window
	Hold     time.Duration `json:"hold,omitempty"`
}

// Book is what is remembered from one look to the next. It is written to a file as JSON, so that a
// monitor that was restarted continues the same incidents. Advance never changes one, it makes the
// next. The zero Book is empty.
type Book struct {
	Entries map[string]Entry `json:"entries"` // by cause
	Holder  Holding          `json:"holder"`  // of the VIP, when it was last known
	// Ended are those that another of their cause took the place of while their end was still to be said.
	Ended []Incident `json:"ended,omitempty"`
}

// Incidents lists those that are open, and those that were resolved of late, oldest first.
func (b Book) Incidents() []Incident {
	out := slices.Clone(b.Ended)
	for _, e := range b.Entries {
		if e.Incident.ID != "" {
			out = append(out, e.Incident)
		}
	}
	slices.SortFunc(out, func(a, b Incident) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), strings.Compare(a.Cause, b.Cause))
	})
	return out
}

// Doubts reports whether something has just come under suspicion: looking again soon would decide it
// sooner. What stays suspected for long, as symptoms do, is no reason to hurry.
func (b Book) Doubts(now time.Time) bool {
	for _, e := range b.Entries {
		if e.Incident.State == Suspect && now.Sub(e.Seen) < doubtFor {
			return true
		}
	}
	return false
}

const doubtFor = 3 * time.Second

// Transition is one thing that happened to an incident.
type Transition struct {
	Incident Incident // as it is now; its Seq numbers this transition
	Kind     Change
	From, To State
	At       time.Time
	Text     string // one line for people
}

// Change is the kind of a transition.
type Change string

const (
	Opened     Change = "opened"
	Reopened   Change = "reopened" // the same incident, shortly after it was resolved
	Happened   Change = "happened" // over before anybody looked
	Relapsed   Change = "relapsed" // while it was recovering
	Escalated  Change = "escalated"
	Eased      Change = "eased" // less severe
	Changed    Change = "changed"
	Recovers   Change = "recovering"
	Flaps      Change = "flapping"
	Steadied   Change = "steady" // it flapped, and now stays
	ByOperator Change = "planned"
	Resolved   Change = "resolved"
)

// Rules say how patient Advance is.
type Rules struct {
	NewID func() string // a UUID version 7

	Window    time.Duration // in which beginnings are counted, and in which a resolved incident is opened again
	Often     int           // so many beginnings within Window are flapping
	Quiet     time.Duration // without it, and flapping is over
	Steady    time.Duration // with it, and flapping is plain firing
	Again     time.Duration // hold of an incident that came back once
	Grace     time.Duration // a symptom gets after its root is gone
	DrainedBy time.Duration // an order to drain outlives the pooler's going DOWN, which hides it
	Delay     time.Duration // before a moment counts: a poll may still be about to see it
	Keep      time.Duration // a resolved incident stays in the book
}

// DefaultRules are for polls once a second.
func DefaultRules(newID func() string) Rules {
	return Rules{NewID: newID, Window: 2 * time.Minute, Often: 3, Quiet: time.Minute, Steady: time.Minute, Again: 5 * time.Second,
		Grace: 5 * time.Second, DrainedBy: 15 * time.Minute, Delay: 2500 * time.Millisecond, Keep: 10 * time.Minute}
}

// Advance is the book after one more look, and what changed, in the order of the causes.
func (r Rules) Advance(b Book, held Holding, found []Finding, now time.Time) (Book, []Transition) {
	s := &step{Rules: r, now: now, book: Book{maps.Clone(b.Entries), b.Holder, b.Ended}}
	if s.book.Entries == nil {
		s.book.Entries = map[string]Entry{}
	}
	s.sort(found)
	s.vip(held)
	for _, cause := range s.causes() {
		s.one(cause)
	}
	for _, f := range s.moments {
		s.moment(f)
	}
	s.forget()
	return s.book, s.out
}

// step is one call of Advance.
type step struct {
	Rules
	now     time.Time
	book    Book
	out     []Transition
	blind   bool
	present map[string]Finding
	moments []Finding
	roots   []Finding // those that are believed, now or before, and explain others
}

func (s *step) sort(found []Finding) {
	s.present = make(map[string]Finding, len(found))
	for _, f := range found {
		if !f.Moment.IsZero() {
			s.moments = append(s.moments, f)
			continue
		}
		s.present[f.Cause] = f
		s.blind = s.blind || f.Kind == MonitorBlind
		if len(f.Explains) > 0 && (s.believed(f) || s.book.Entries[f.Cause].Incident.Open()) {
			s.roots = append(s.roots, f)
		}
	}
}

// believed says that a finding counts: the evidence is enough, and it has been there for long enough.
func (s *step) believed(f Finding) bool {
	if f.Unsure {
		return false
	}
	e := s.book.Entries[f.Cause]
	since, until := e.Seen, s.now
	if !f.Basis.IsZero() {
		since, until = e.Sure, f.Basis // what old readings say neither begins the time nor ends it
	}
	if since.IsZero() {
		since = s.now
	}
	return until.Sub(since) >= f.After
}

func (s *step) causes() []string {
	all := slices.Collect(maps.Keys(s.book.Entries))
	for cause := range s.present {
		if _, known := s.book.Entries[cause]; !known {
			all = append(all, cause)
		}
	}
	slices.Sort(all)
	return all
}

// one takes one cause over one edge.
func (s *step) one(cause string) {
	e := s.book.Entries[cause]
	f, there := s.present[cause]
	event := s.event(&e, f, there)
	if there && event != Unknown {
		e.Hold = f.Hold
	}
	from := e.state()
	to := Next(from, event)
	if e.Incident.Open() {
		e.Incident.Gone = e.Gone
	}
	switch event {
	case Found, Often, Steady, Ordered:
		s.adopt(&e, f, from, to)
	}
	s.move(&e, from, to)
	s.book.Entries[cause] = e
}

func (e Entry) state() State { return cmp.Or(e.Incident.State, OK) }

func (s State) fires() bool { return s == Firing || s == Flapping }

// event is what this look means for a cause. It keeps the entry's clocks.
func (s *step) event(e *Entry, f Finding, there bool) Event {
	if s.blind && f.Kind != MonitorBlind {
		return Unknown
	}
	if !there {
		if e.Gone.IsZero() {
			e.Gone, e.Seen, e.Sure = s.now, time.Time{}, time.Time{}
		}
		if s.now.Sub(e.Gone) >= s.hold(*e) {
			return Quiet
		}
		return Clear
	}
	began := e.Seen.IsZero()
	if began {
		e.Seen = s.now
	}
	switch {
	case f.Unsure:
		e.Sure = time.Time{}
	case e.Sure.IsZero():
		e.Sure = s.now
	}
	e.Gone = time.Time{}
	switch {
	case s.explained(f.Cause):
		e.Covered = s.now
		return Explained
	case f.Planned && !f.Unsure:
		e.Ordered = s.now
		return Ordered
	case e.state() == Planned && e.Incident.Kind == PoolerDrained && s.now.Sub(e.Ordered) < s.DrainedBy:
		return Suspected // DOWN hides the drain; see haproxy.Admin
	case !s.believed(f) || !e.Covered.IsZero() && s.now.Sub(e.Covered) < s.Grace:
		return Suspected
	}
	return s.fired(e, f, began)
}

// fired counts beginnings.
func (s *step) fired(e *Entry, f Finding, began bool) Event {
	state := e.state()
	if state == Flapping {
		if began {
			s.count(e, s.now)
		}
		if s.now.Sub(e.Seen) >= s.Steady {
			return Steady
		}
		return Found
	}
	if state == Firing && s.often(f) && f.Falls[len(f.Falls)-1].After(e.Seen) {
		return Often
	}
	if state == Firing || e.smoothed() {
		return Found
	}
	s.count(e, s.now)
	if len(e.Fired) >= s.Often || s.often(f) {
		return Often
	}
	return Found
}

// often says that by the count of a witness it fell as often as flapping is.
func (s *step) often(f Finding) bool {
	n := 0
	for _, at := range f.Falls {
		if s.now.Sub(at) < s.Window {
			n++
		}
	}
	return n >= s.Often
}

// smoothed says that coming back is no beginning: the finding's own patience was made for that.
func (e Entry) smoothed() bool { return e.Incident.State == Recovering && e.Hold >= gaugeHold }

func (s *step) count(e *Entry, at time.Time) {
	recent := slices.DeleteFunc(slices.Clone(e.Fired), func(t time.Time) bool { return s.now.Sub(t) > s.Window })
	e.Fired = append(recent, at)
}

// hold is how long a cause must be gone until it is over. The first time that is at once, or what
// the finding asks for; who came back once is trusted less.
func (s *step) hold(e Entry) time.Duration {
	switch {
	case e.state() == Flapping:
		return s.Quiet
	case len(e.Fired) > 1 && s.now.Sub(e.Fired[0]) < s.Window:
		return max(e.Hold, s.Again)
	}
	return e.Hold
}

func (s *step) explained(cause string) bool {
	for _, root := range s.roots {
		if root.Cause == cause {
			continue
		}
		for _, symptom := range root.Explains {
			if explains(symptom, cause) {
				return true
			}
		}
	}
	return false
}

// adopt makes the finding the incident's own words, and opens the incident where there is none.
func (s *step) adopt(e *Entry, f Finding, from, to State) {
	i := &e.Incident
	was := i.Finding
	begins := to.fires() && (from == OK || from == Suspect || from == Recovering)
	// What was planned and is over is not the beginning of an outage that follows, nor is an outage that is
	// over the beginning of planned work: it would be none any more in the record.
	late := s.now.Sub(i.ResolvedAt) > s.Window
	outage := begins && from != Recovering && (i.Planned || f.Planned || late)
	work := to == Planned && !i.ResolvedAt.IsZero() && (!i.Planned || late)
	if i.ID == "" || outage || work {
		if i.owed() {
			i.State = OK // it may be suspected again by now
			s.book.Ended = append(slices.Clone(s.book.Ended), *i)
		}
		*i = Incident{ID: s.NewID(), OpenedAt: s.beginning(*e, f, to), State: from}
	}
	if !i.ResolvedAt.IsZero() {
		i.Well += max(0, e.Seen.Sub(i.ResolvedAt)) // as a symptom it was there all the time
	}
	// Connections that nobody accepts fill a hung HAProxy's queue: after a while it looks like a host that is gone.
	full := was.Kind == HAProxyHung && f.Kind == HAProxyUnreachable
	if (f.Fading || full) && i.Open() {
		f.Kind, f.Title, f.Action = was.Kind, was.Title, was.Action
	}
	i.Finding, i.Planned, i.ResolvedAt = f, to == Planned, time.Time{}
	i.Symptoms = s.explainedBy(*i)
	again := from == Flapping && e.Seen.Equal(s.now)
	if begins && i.Seq > 0 && !e.smoothed() || again {
		i.Flaps++
	}
	if to == Flapping {
		i.Action = f.whyAgain()
		i.Flaps = max(i.Flaps, f.fallsAfter(i.OpenedAt))
	}
	if again {
		i.Since = e.Seen
	}
	switch {
	case from != to:
		if !e.smoothed() {
			i.Since = e.Seen
		}
	case loudness[f.Severity] > loudness[was.Severity]:
		s.say(e, Escalated, from, to)
	case loudness[f.Severity] < loudness[was.Severity]:
		s.say(e, Eased, from, to)
	case to == Firing && f.Title != was.Title:
		s.say(e, Changed, from, to)
	}
}

// beginning is when an incident began: one that opens because it fell often, with the first of those falls.
func (s *step) beginning(e Entry, f Finding, to State) time.Time {
	for _, at := range f.Falls {
		if to == Flapping && at.Before(e.Seen) && s.now.Sub(at) < s.Window {
			return at
		}
	}
	return e.Seen
}

// explainedBy is the symptoms so far, and the causes of the present that a finding explains.
func (s *step) explainedBy(i Incident) []string {
	out := i.Symptoms
	for cause := range s.present {
		if i.Accounts(cause) && !slices.Contains(out, cause) && !s.present[cause].Unsure && !s.book.Entries[cause].Incident.Before(i) {
			out = append(slices.Clone(out), cause)
		}
	}
	slices.Sort(out)
	return out
}

// move takes the entry to its new state, and says so if there is an incident.
func (s *step) move(e *Entry, from, to State) {
	if from == to {
		return
	}
	i := &e.Incident
	change := Opened
	switch {
	case i.ID == "" || to == Suspect || from == Suspect && to == OK:
		i.State = to
		return
	case to == OK:
		i.ResolvedAt, i.Gone, change = s.now, time.Time{}, Resolved
	case to == Recovering:
		change = Recovers
	case to == Flapping:
		change = Flaps
	case to == Planned:
		change = ByOperator
	case from == Recovering:
		change = Relapsed
	case from == Flapping:
		change = Steadied
	case i.Seq > 0 && (from == OK || from == Suspect):
		change = Reopened
	}
	i.State = to
	s.say(e, change, from, to)
}

func (s *step) say(e *Entry, change Change, from, to State) {
	i := &e.Incident
	i.Seq++
	i.UpdatedAt = s.now
	s.out = append(s.out, Transition{Incident: *i, Kind: change, From: from, To: to, At: s.now, Text: change.text(*i, s.now)})
}

func (c Change) text(i Incident, now time.Time) string {
	switch c {
	case Resolved:
		return fmt.Sprintf("%s: resolved after %s", i.Title, Span(i.Lasted(now))) + i.times()
	case Opened, Reopened, Relapsed:
		return fmt.Sprintf("%s: %s. %s", i.Title, c, i.Impact)
	case Escalated, Eased:
		return fmt.Sprintf("%s: now %s. %s", i.Title, i.Severity, i.Impact)
	}
	return fmt.Sprintf("%s: %s", i.Title, c)
}

// vip notices that another node holds the VIP than when that was last known. An outage in between
// that was told already is told the end in its own words.
func (s *step) vip(held Holding) {
	before := s.book.Holder
	if held.Node == "" {
		return
	}
	s.book.Holder = held
	if before.Node == "" || before.Node == held.Node {
		return
	}
	gap := fmt.Sprintf("Nobody was seen holding it for at most %s.", Span(held.Seen.Sub(before.Seen)))
	if twice := s.book.Entries[string(VIPTwice)].Incident; twice.Open() || twice.ResolvedAt.After(before.Seen) {
		gap = fmt.Sprintf("Both held it for at most %s.", Span(held.Seen.Sub(before.Seen)))
	}
	title := "VIP moved from " + before.Node + " to " + held.Node
	if nobody := s.book.Entries[string(VIPNobody)]; nobody.Incident.Open() {
		nobody.Incident.Evidence = append(slices.Clone(nobody.Incident.Evidence), title+". "+gap)
		s.book.Entries[string(VIPNobody)] = nobody
		return
	}
	action := "Nothing for clients. See why " + before.Node + " gave it up: `journalctl -u keepalived -u haproxy` there."
	if held.Ordered {
		action = "Nothing: it was ordered. When the work is done, release the hold on " + before.Node + "."
	}
	s.happened(Finding{
		Cause: string(VIPMoved), Kind: VIPMoved, Subject: held.Node, Severity: Info, Planned: held.Ordered, Title: title,
		Impact:   gap + " Sessions through " + before.Node + " ended; new ones go to " + held.Node + ".",
		Evidence: []string{held.Node + ": holds the VIP", before.Node + ": held it until " + before.Seen.UTC().Format("15:04:05.0") + " UTC"},
		Action:   action,
		Moment:   held.Seen,
	})
}

// moment takes what was over before anybody looked: unless a poll saw it as well.
func (s *step) moment(f Finding) {
	e := s.book.Entries[f.Cause]
	if i := &e.Incident; i.State == Flapping { // the count goes on with every fall, also with one that is part of what is known
		i.Falls, i.Flaps = f.Falls, max(i.Flaps, f.fallsAfter(i.OpenedAt))
		s.book.Entries[f.Cause] = e
	}
	const same = 5 * time.Second // two HAProxies and the pooler's totals tell of one thing
	switch last := len(e.Fired) - 1; {
	case !s.blind && s.often(f) && (e.state() == OK || e.state() == Recovering) && e.Seen.IsZero() && f.Moment.After(e.Moment):
		s.happened(f)
		return
	case s.blind, s.now.Sub(f.Moment) < s.Delay, !f.Moment.After(e.Moment.Add(same)), !e.Seen.IsZero():
		return
	case e.state() == Planned, e.state() == Recovering,
		last >= 0 && e.Fired[last].After(f.Moment.Add(-same)), f.Moment.Before(e.Gone.Add(same)) && e.Incident.ID != "":
		e.Moment = f.Moment // part of what is known
		s.book.Entries[f.Cause] = e
		return
	}
	s.happened(f)
}

// happened opens and ends an incident at once, or adds to one that flaps.
func (s *step) happened(f Finding) {
	e := s.book.Entries[f.Cause]
	from, i := e.state(), &e.Incident
	e.Moment, e.Seen = f.Moment, f.Moment
	if !f.Planned {
		s.count(&e, f.Moment)
	}
	switch {
	case from == Flapping:
		i.Flaps = max(i.Flaps+1, f.fallsAfter(i.OpenedAt))
		i.Since, i.Falls = f.Moment, f.Falls
	case !f.Planned && (len(e.Fired) >= s.Often || s.often(f)):
		s.adopt(&e, f, from, Flapping)
		s.move(&e, from, Flapping)
	default:
		s.adopt(&e, f, from, Firing)
		i.Planned, i.State, i.ResolvedAt = f.Planned, OK, f.Moment
		s.say(&e, Happened, from, OK)
	}
	e.Seen, e.Gone = time.Time{}, s.now
	if i.Open() {
		i.Gone = s.now
	}
	s.book.Entries[f.Cause] = e
}

// forget drops what no longer matters: never what is still owed to people.
func (s *step) forget() {
	for cause, e := range s.book.Entries {
		i := e.Incident
		switch {
		case e.state() != OK || !e.Seen.IsZero():
		case i.ID == "" && s.now.Sub(e.Moment) > momentLate:
			delete(s.book.Entries, cause)
		case i.ID != "" && s.now.Sub(i.ResolvedAt) > s.Keep && !i.owed():
			delete(s.book.Entries, cause)
		}
	}
}
