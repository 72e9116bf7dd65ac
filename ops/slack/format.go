// Package slack tells people: it lays out an incident for a phone (Format), keeps what is to be
// said in a file until the other side accepted it (Outbox), and delivers it (Poster).
package slack

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"weir/ops/incident"
)

// Message is one incident as Slack shows it.
type Message struct {
	Text   string        // what a notification shows, and where blocks are not
	Blocks []slack.Block // https://docs.slack.dev/reference/block-kit
	Thread string        // what the thread of the message says about this change
	Loud   bool          // the channel is to see the thread's line as well
}

// longest is what fits a section with room to spare; Slack refuses more than 3,000 characters.
const longest = 2800

// Format lays an incident out: what and since when, what it means, what to do, and who says so.
func Format(i incident.Incident, r incident.Reason, now time.Time) Message {
	word, when := status(i, r), times(i, now)
	m := Message{
		Text:   word + ": " + i.Title + ". " + i.Impact + " (" + plain(when) + ")",
		Thread: thread(i, r, now),
		Loud:   r == incident.Louder || r == incident.Again || r == incident.RecoverOK,
	}
	m.Text = escape(m.Text)
	m.Blocks = append(m.Blocks, section("*"+word+"  "+escape(i.Title)+"*\n"+slackTimes(when)))
	if r == incident.RecoverOK {
		m.Text = escape(word + ": " + i.Title + " (" + plain(when) + ")")
		m.Blocks = append(m.Blocks, small("It was: "+escape(i.Impact)), small("Incident "+i.ID))
		return m
	}
	m.Blocks = append(m.Blocks, section(escape(i.Impact)), section("*Do:* "+escape(i.Action)))
	if len(i.Evidence) > 0 {
		m.Blocks = append(m.Blocks, small(escape(strings.Join(i.Evidence, "\n"))))
	}
	last := "Incident " + i.ID
	if len(i.Symptoms) > 0 {
		last = "Explains: " + escape(strings.Join(i.Symptoms, ", ")) + "\n" + last
	}
	m.Blocks = append(m.Blocks, small(last))
	return m
}

// status is the first word that a person reads.
func status(i incident.Incident, r incident.Reason) string {
	switch {
	case r == incident.RecoverOK:
		return "RESOLVED"
	case i.State == incident.Flapping:
		return "FLAPPING"
	case i.State == incident.Planned:
		return "PLANNED"
	}
	return strings.ToUpper(string(i.Severity))
}

// moment is a time within a line, which Slack shows in the zone of whoever reads it.
type moment struct {
	before string
	at     time.Time
	after  string
}

func times(i incident.Incident, now time.Time) []moment {
	lasted := incident.Span(i.Lasted(now))
	switch {
	case i.State == incident.OK && i.Lasted(now) < time.Second && i.Flaps == 0:
		return []moment{{"at ", i.Since, ""}}
	case i.State == incident.OK && i.Lasted(now) < time.Second:
		return []moment{{"at ", i.Since, ""}, {", first at ", i.OpenedAt, ""}}
	case i.State == incident.OK && i.Flaps > 0 && i.Well > 0:
		return []moment{{fmt.Sprintf("%d times, %s in all, from ", i.Flaps+1, lasted), i.OpenedAt, ""}, {" to ", i.ResolvedAt, ""}}
	case i.State == incident.OK && i.Flaps > 0:
		return []moment{{fmt.Sprintf("%d times in %s, from ", i.Flaps+1, lasted), i.OpenedAt, ""}, {" to ", i.ResolvedAt, ""}}
	case i.State == incident.OK:
		return []moment{{"lasted " + lasted + ", from ", i.OpenedAt, ""}, {" to ", i.ResolvedAt, ""}}
	case i.State == incident.Flapping:
		return []moment{{fmt.Sprintf("%d times since ", i.Flaps+1), i.OpenedAt, ""}}
	case i.Flaps > 0:
		return []moment{{"again since ", i.Since, ""}, {", first at ", i.OpenedAt, ""}}
	}
	return []moment{{"since ", i.Since, ""}}
}

// slackTimes uses Slack's date tokens, with UTC where they are not understood.
func slackTimes(line []moment) string {
	var b strings.Builder
	form := "{date_short_pretty} {time_secs}"
	for n, m := range line {
		if n > 0 && m.at.Sub(line[0].at) < 12*time.Hour {
			form = "{time_secs}"
		}
		fmt.Fprintf(&b, "%s<!date^%d^%s|%s>%s", m.before, m.at.Unix(), form, utc(m.at), m.after)
	}
	return b.String()
}

func plain(line []moment) string {
	var b strings.Builder
	for _, m := range line {
		b.WriteString(m.before + utc(m.at) + m.after)
	}
	return b.String()
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func thread(i incident.Incident, r incident.Reason, now time.Time) string {
	switch r {
	case incident.RecoverOK:
		return "*Resolved*: " + escape(i.Title) + ", after " + incident.Span(i.Lasted(now)) + "."
	case incident.Louder:
		if i.Said.State == incident.Flapping {
			return "*No longer flapping, it stays*: " + escape(i.Title) + ". " + escape(i.Impact)
		}
		return "*Worse, now " + string(i.Severity) + "*: " + escape(i.Title) + ". " + escape(i.Impact)
	case incident.Again:
		if i.State == incident.OK {
			return "*Again*: " + escape(i.Title) + ". " + escape(i.Impact)
		}
		return "*Back*: " + escape(i.Title) + ". " + escape(i.Impact)
	case incident.Unsteady:
		return "*Flapping*: it keeps coming back. Nothing more is said until it has been gone, or has stayed, for a minute."
	case incident.Intended:
		return "*Planned*: an operator took it over. " + escape(i.Title) + "."
	case incident.Remind:
		return "*Still*: " + escape(i.Title) + ", for " + incident.Span(i.Lasted(now)) + ". Acknowledge it to hear no more reminders."
	}
	return ""
}

// escape keeps text from being read as a mention or a link.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func section(text string) slack.Block { return slack.NewSectionBlock(mrkdwn(text), nil, nil) }

func small(text string) slack.Block { return slack.NewContextBlock("", mrkdwn(text)) }

func mrkdwn(text string) *slack.TextBlockObject {
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, false)
}

// Alert is what ALERT_WEBHOOK_URL gets, as the JSON body of a POST. Fields are added, never
// renamed or taken away, while Version is 1. Key is the same when a delivery is repeated.
type Alert struct {
	Version    int        `json:"version"`
	Key        string     `json:"key"`
	Event      string     `json:"event"` // first, reopened, escalated, flapping, planned, reminder, resolved
	IncidentID string     `json:"incident_id"`
	Cause      string     `json:"cause"`
	Kind       string     `json:"kind"`
	Subject    string     `json:"subject"`  // host; "" is the chain as a whole
	Severity   string     `json:"severity"` // info, warning, critical
	State      string     `json:"state"`    // firing, flapping, planned, ok
	Title      string     `json:"title"`
	Impact     string     `json:"impact"`
	Action     string     `json:"action"`
	Evidence   []string   `json:"evidence"`
	Symptoms   []string   `json:"symptoms"` // causes that this one explains
	OpenedAt   time.Time  `json:"opened_at"`
	Since      time.Time  `json:"since"`
	ResolvedAt *time.Time `json:"resolved_at"` // null while it is open
	Seconds    float64    `json:"seconds"`     // it has lasted, or did
	Flaps      int        `json:"flaps"`       // times it came back
}

// Plain is an incident for programs.
func Plain(i incident.Incident, r incident.Reason, key string, now time.Time) Alert {
	a := Alert{
		Version: 1, Key: key, Event: string(r), IncidentID: i.ID, Cause: i.Cause, Kind: string(i.Kind), Subject: i.Subject,
		Severity: string(i.Severity), State: string(i.State), Title: i.Title, Impact: i.Impact, Action: i.Action,
		Evidence: append([]string{}, i.Evidence...), Symptoms: append([]string{}, i.Symptoms...),
		OpenedAt: i.OpenedAt.UTC(), Since: i.Since.UTC(), Seconds: i.Lasted(now).Seconds(), Flaps: i.Flaps,
	}
	if !i.ResolvedAt.IsZero() {
		at := i.ResolvedAt.UTC()
		a.ResolvedAt = &at
	}
	return a
}
