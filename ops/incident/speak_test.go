package incident

import (
	"testing"
	"time"
)

func TestSpeak(t *testing.T) {
	firing := Incident{ID: "id-1", State: Firing, OpenedAt: start, Since: start,
		Finding: Finding{Cause: "pooler-down/pgb2", Subject: "pgb2", Title: "pgb2 down", Severity: Warning}}
	told := firing
	told.Said = Said{Count: 1, First: start, State: Firing, Severity: Warning, Title: "pgb2 down"}
	with := func(i Incident, change func(*Incident)) Incident { change(&i); return i }
	hush := func(cause, subject string, from, until time.Duration) Wishes {
		return Wishes{Silences: []Silence{{Cause: cause, Subject: subject, From: start.Add(from), Until: start.Add(until)}}}
	}
	acked := Wishes{Acknowledged: map[string]bool{"id-1": true}}
	tests := []struct {
		sentence string
		incident Incident
		wishes   Wishes
		after    time.Duration
		want     Reason
	}{
		{"what fires is told", firing, Wishes{}, 0, First},
		{"once", told, Wishes{}, time.Minute, None},
		{"what is only suspected is not", with(firing, func(i *Incident) { i.State = Suspect }), Wishes{}, 0, None},
		{"what recovers is not over", with(told, func(i *Incident) { i.State = Recovering }), Wishes{}, 0, None},
		{"planned work is not told", with(firing, func(i *Incident) { i.State = Planned }), Wishes{}, 0, None},
		{"an outage that an operator takes over is", with(told, func(i *Incident) { i.State = Planned }), Wishes{}, 0, Intended},
		{"what becomes worse is told", with(told, func(i *Incident) { i.Severity = Critical }), Wishes{}, 0, Louder},
		{"what becomes better is not", with(told, func(i *Incident) { i.Severity, i.Said.Severity = Warning, Critical }), Wishes{}, 0, None},
		{"another title is a change", with(told, func(i *Incident) { i.Title = "pgb2 hung" }), Wishes{}, 0, Other},
		{"flapping is told", with(told, func(i *Incident) { i.State = Flapping }), Wishes{}, 0, Unsteady},
		{"and that it stays after that as well", with(told, func(i *Incident) { i.Said.State = Flapping }), Wishes{}, 0, Louder},
		{"the end is told", with(told, func(i *Incident) { i.State, i.ResolvedAt = OK, start }), Wishes{}, time.Hour, RecoverOK},
		{"once as well", with(told, func(i *Incident) { i.State, i.Said.State = OK, OK }), Wishes{}, time.Hour, None},
		{"what is back after its end is told", with(told, func(i *Incident) { i.Said.State = OK }), Wishes{}, 0, Again},
		{"what was over before it could be told is told once", with(firing, func(i *Incident) { i.State, i.ResolvedAt = OK, start }), Wishes{}, time.Second, First},
		{"unless that is long ago", with(firing, func(i *Incident) { i.State, i.ResolvedAt = OK, start }), Wishes{}, time.Hour, None},
		{"or was planned", with(firing, func(i *Incident) { i.State, i.ResolvedAt, i.Planned = OK, start, true }), Wishes{}, time.Second, None},
		{"or fell into a silence", with(firing, func(i *Incident) { i.State, i.ResolvedAt = OK, start }), hush("*", "", -time.Minute, time.Second), 2 * time.Second, None},
		{"no reminder comes too soon", told, Wishes{}, 30*time.Minute - 1, None},
		{"a reminder comes after half an hour", told, Wishes{}, 30 * time.Minute, Remind},
		{"the second one after two hours", with(told, func(i *Incident) { i.Said.Reminders = 1 }), Wishes{}, 30 * time.Minute, None},
		{"there is no fourth", with(told, func(i *Incident) { i.Said.Reminders = 3 }), Wishes{}, 1000 * time.Hour, None},
		{"who acknowledged is not reminded", told, acked, time.Hour, None},
		{"but hears that it becomes worse", with(told, func(i *Incident) { i.Severity = Critical }), acked, time.Hour, Louder},
		{"and that it is over", with(told, func(i *Incident) { i.State = OK }), acked, time.Hour, RecoverOK},
		{"a silence of the cause is kept", firing, hush("pooler-down/*", "", 0, time.Hour), 0, None},
		{"a silence of another host does not matter", firing, hush("*", "pgb1", 0, time.Hour), 0, First},
		{"a silence of another cause does not matter", firing, hush("postgres-down", "", 0, time.Hour), 0, First},
		{"a silence that is over does not matter", firing, hush("*", "pgb2", 0, time.Hour), time.Hour, First},
		{"a silence still to come does not matter", firing, hush("*", "pgb2", time.Minute, time.Hour), 0, First},
	}
	for _, test := range tests {
		d := DefaultPolicy().Speak(test.incident, test.wishes, start.Add(test.after))
		if d.Reason != test.want {
			t.Errorf("%s: reason %s, want %s", test.sentence, d.Reason, test.want)
		}
		if (d.Key == "" || d.Text == "") != (d.Reason == None) {
			t.Errorf("%s: %+v", test.sentence, d)
		}
	}
}

func TestRemindersThatCouldNotBeSaidAreOne(t *testing.T) {
	i := Incident{ID: "id-1", State: Firing, Finding: Finding{Cause: "vip-nobody", Severity: Critical, Title: "VIP held by nobody"},
		Said: Said{Count: 1, First: start, State: Firing, Severity: Critical, Title: "VIP held by nobody"}}
	book := Book{Entries: map[string]Entry{"vip-nobody": {Incident: i}}}
	for _, c := range []struct {
		sentence string
		after    time.Duration
		want     Reason
	}{
		{"after 3 h of silence there is one", 3 * time.Hour, Remind},
		{"and no other with the next look", 3*time.Hour + time.Second, None},
		{"the last one comes in its time", 8 * time.Hour, Remind},
		{"after that there is none", 1000 * time.Hour, None},
	} {
		now := start.Add(c.after)
		i := book.Entries["vip-nobody"].Incident
		d := DefaultPolicy().Speak(i, Wishes{}, now)
		if d.Reason != c.want {
			t.Errorf("%s: %s, want %s", c.sentence, d.Reason, c.want)
		}
		book = book.Note(i, d, now)
	}
}

func TestADecisionTakenAgainAfterACrashHasTheSameKey(t *testing.T) {
	i := Incident{ID: "id-1", State: Firing, Finding: Finding{Cause: "vip-nobody", Severity: Critical, Title: "VIP held by nobody"}}
	book := Book{Entries: map[string]Entry{"vip-nobody": {Incident: i}}}
	first := DefaultPolicy().Speak(i, Wishes{}, start)
	again := DefaultPolicy().Speak(i, Wishes{}, start.Add(time.Minute))
	over := i
	over.State, over.ResolvedAt = OK, start.Add(time.Second)
	end := DefaultPolicy().Speak(over, Wishes{}, start.Add(time.Second))
	if again := DefaultPolicy().Speak(over, Wishes{}, start.Add(time.Minute)); end.Key == first.Key || end.Key != again.Key {
		t.Errorf("keys %s, and of an end after a crash %s and %s", first.Key, end.Key, again.Key)
	}
	noted := book.Note(i, first, start).Entries["vip-nobody"].Incident
	noted.State = OK
	last := DefaultPolicy().Speak(noted, Wishes{}, start)
	if first.Key != again.Key || last.Key == first.Key {
		t.Errorf("keys %s, %s, then %s", first.Key, again.Key, last.Key)
	}
}

func TestSpansAreWrittenAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 400 * time.Millisecond: "0.4 s", 42 * time.Second: "42 s", 185 * time.Second: "3 min 5 s",
		130 * time.Minute: "2 h 10 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
