package admin

import (
	"net/url"
	"strings"
	"time"

	"weir/views/layout"
	"weir/views/ui"
)

// Notifications is the page /admin/notifications?state=failed.
type Notifications struct {
	Clock    ui.Clock
	Role     layout.Role
	Channels Channels
	State    string // pending, sent, failed, collapsed; "" is all
	List     []Notification
	Pager    ui.Pager
	ui.Missing
}

// Channels are where the monitor sends messages, and where it could.
type Channels struct {
	List []Channel
	Deaf bool // the monitor does not answer: List is empty
}

// Channel is where messages go.
type Channel struct {
	Name string // slack, webhook
	// Unset says what to set to have it; "" is that it is set up.
	Unset    string
	LastSent time.Time // delivered
	Owed     int       // messages that were not delivered yet
	Error    string    // of the last attempt; "" is none
}

// TestURL is where a test message is ordered, by POST.
func (c Channel) TestURL() string {
	return NotificationsPath + "/" + url.PathEscape(c.Name) + "/test"
}

// title is its name at the head of a tile.
func (c Channel) title() string { return strings.ToUpper(c.Name[:1]) + c.Name[1:] }

// mark is how a channel is.
func (c Channel) mark() (ui.State, string) {
	switch {
	case c.Unset != "":
		return ui.Unknown, "not set up"
	case c.Error != "":
		return ui.Critical, "does not deliver"
	case c.Owed > 0:
		return ui.Warning, ui.Counted(c.Owed, "message") + " waiting"
	case c.LastSent.IsZero():
		return ui.Unknown, "not tried yet"
	}
	return ui.OK, "delivers"
}

// Told is whether anybody is told of incidents: nil is that somebody is. Its first line says what to do.
func (c Channels) Told() *ui.Notice {
	set, failing := 0, 0
	for _, one := range c.List {
		if one.Unset == "" {
			set++
			if one.Error != "" {
				failing++
			}
		}
	}
	switch {
	case c.Deaf:
		return &ui.Notice{State: ui.Warning, Title: "It is not known whether anybody is told when something breaks.", Lines: []string{"The monitor sends the alarms, and it does not answer this console."}}
	case set == 0:
		return &ui.Notice{State: ui.Warning, Title: "Nobody is told when something breaks: no channel is set up.", Lines: []string{"Give the monitor Slack or a webhook, then send a test message."}}
	case failing == set:
		return &ui.Notice{State: ui.Critical, Title: "Nobody is told when something breaks: no channel delivers.", Lines: []string{"Look at the errors under Notifications."}}
	}
	return nil
}

// where is the channels that deliver, for a sentence.
func (c Channels) where() string {
	var names []string
	for _, one := range c.List {
		if one.Unset == "" && one.Error == "" {
			names = append(names, one.title())
		}
	}
	return strings.Join(names, " and ")
}

// Notification is one message.
type Notification struct {
	ID        string
	Incident  string // id; "" is a test message
	Title     string // of the incident
	Channel   string
	Reason    string
	State     string
	Attempts  int
	CreatedAt time.Time
	SentAt    time.Time
	Error     string
}

func stateURL(state string) string {
	if state == "" {
		return NotificationsPath
	}
	return NotificationsPath + "?state=" + url.QueryEscape(state)
}
