package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/views/account"
	"weir/views/admin"
	"weir/views/layout"
	"weir/views/ui"
)

func (w *Web) adminPages(see seeing, do doing, signed func(http.Handler) http.Handler) {
	see(admin.PeoplePath, w.people)
	see("/admin/invite", func(a *asked) (made, error) { return w.inviteForm(a, admin.Invitation{}, 0) })
	do("/admin/invite", w.invite)
	do("/admin/links/{id}/withdraw", w.withdraw)
	see("/admin/people/{id}", w.person)
	see("/admin/people/{id}/{change}", func(a *asked) (made, error) { return w.changing(a, nil, 0) })
	do("/admin/people/{id}/{change}", w.change)
	see(admin.TokensPath, w.allTokens)
	see(admin.SessionsPath, w.allSessions)
	see(admin.SilencesPath, w.silences)
	w.orders(see, do, admin.SilencesPath+"/new", w.silence)
	w.orders(see, do, admin.SilencesPath+"/{id}/end", w.unsilence)
	see(admin.NotificationsPath, w.notifications)
	w.orders(see, do, admin.NotificationsPath+"/{channel}/test", testMessage)
	see(admin.AuditPath, w.audit)
	w.mux.Handle("GET "+admin.AuditPath+"/csv", signed(http.HandlerFunc(w.auditCSV)))
}

func (a *asked) role() layout.Role { return layout.Role(a.viewer.Role) }

// window is which part of a list an address asks for.
func (a *asked) window(size int) (first *int, after *string, last *int, before *string) {
	q := a.URL.Query()
	after, before = given(q.Get("after")), given(q.Get("before"))
	if before != nil {
		return nil, nil, &size, before
	}
	return &size, after, nil, nil
}

const pageShown = 25

func (w *Web) people(a *asked) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		if a.needs(runbook.Viewer) == nil { // the others have less to administer
			return w.silences(a)
		}
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	m := admin.People{Clock: a.clock, Role: a.role()}
	first, after, last, before := a.window(pageShown)
	list, err := w.Query.Users(ctx, first, after, last, before)
	if err == nil {
		for _, e := range list.Edges {
			m.People = append(m.People, personOf(e.Node, a))
		}
		m.Pager = pager(admin.PeoplePath, list.PageInfo, len(list.Edges), "person")
		m.Links, err = w.links(ctx)
	}
	m.Missing = a.missing(err)
	return made{title: "People", section: layout.Admin, content: admin.PeopleContent(m)}, nil
}

func personOf(u noun.User, a *asked) admin.Person {
	return admin.Person{ID: u.ID(), Email: u.Email, Name: u.Name, Role: layout.Role(u.Role), SecondFactor: u.SecondFactor(), DisabledAt: or(u.DisabledAt),
		CreatedAt: u.CreatedAt, You: a.viewer.Kind == runbook.User && a.viewer.ID == u.User.ID}
}

func (w *Web) links(ctx context.Context) (out []admin.Link, err error) {
	list, err := w.Query.Links(ctx)
	for _, l := range list {
		out = append(out, admin.Link{ID: l.ID(), Kind: admin.LinkKind(l.Kind), Email: or(l.Email), Role: layout.Role(or(l.Role)), CreatedBy: l.CreatedBy,
			CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt})
	}
	return out, err
}

func (w *Web) inviteForm(a *asked, i admin.Invitation, status int) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return made{}, err
	}
	return made{title: "Invite somebody", section: layout.Admin, content: admin.InvitationContent(i), status: status}, nil
}

func (w *Web) invite(rw http.ResponseWriter, a *asked) error {
	i := admin.Invitation{Email: a.PostFormValue("email"), Role: layout.Role(a.PostFormValue("role"))}
	p, err := w.Mutation.Invite(a.Context(), i.Email, string(i.Role))
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		i.Faults = faults(p.UserErrors)
		m, err := w.inviteForm(a, i, refusedWith(p.UserErrors))
		return w.again(rw, a, m, err)
	}
	w.show(rw, a, w.linkShown(a, admin.Invite, i.Email, p, "invitation", admin.PeoplePath))
	return nil
}

func (w *Web) linkShown(a *asked, kind admin.LinkKind, email string, p *noun.LinkPayload, path, back string) made {
	l := admin.LinkShown{Clock: a.clock, Kind: kind, Email: email, URL: w.Public.JoinPath(path, or(p.Token)).String(), Expires: or(p.Expires), Back: back}
	return made{title: "One-time link", section: layout.Admin, content: admin.LinkContent(l)}
}

func (w *Web) withdraw(rw http.ResponseWriter, a *asked) error {
	p, err := w.Mutation.WithdrawLink(a.Context(), a.PathValue("id"), a.PostFormValue("reason"))
	if err != nil {
		return err
	}
	w.send(rw, a, admin.PeoplePath, doneNotice(p.UserErrors, "The link is withdrawn: it no longer works."))
	return nil
}

// findPerson is somebody with an account.
func (w *Web) findPerson(ctx context.Context, a *asked) (admin.Person, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return admin.Person{}, err
	}
	n, err := w.Query.Node(ctx, a.PathValue("id"))
	if u, ok := n.(noun.User); ok && err == nil {
		return personOf(u, a), nil
	}
	if code := fault.CodeOf(err); code == "" || code == fault.Invalid {
		err = fault.Errorf(fault.NotFound, "There is no such account.")
	}
	return admin.Person{}, err
}

func (w *Web) person(a *asked) (made, error) {
	ctx, cancel := a.limited()
	defer cancel()
	p, err := w.findPerson(ctx, a)
	if err != nil {
		return made{}, err
	}
	m := admin.PersonModel{Clock: a.clock, Role: a.role(), Person: p, Sessions: w.sessionsOf(ctx, a, &p.ID)}
	return made{title: p.Name, section: layout.Admin, content: admin.PersonContent(m)}, nil
}

func (w *Web) sessionsOf(ctx context.Context, a *asked, user *string) account.Sessions {
	size := listShown
	list, err := w.Query.Sessions(ctx, user, &size, nil, nil, nil)
	out := account.Sessions{Missing: a.missing(err)}
	if list != nil {
		for _, e := range list.Edges {
			out.List = append(out.List, sessionOf(e.Node, a))
		}
	}
	return out
}

func (w *Web) changing(a *asked, wrong []noun.UserError, status int) (made, error) {
	ctx, cancel := a.limited()
	defer cancel()
	p, err := w.findPerson(ctx, a)
	if err != nil {
		return made{}, err
	}
	c := admin.Changing{Change: admin.Change(a.PathValue("change")), Person: p, Role: layout.Role(a.FormValue("role")), Verdict: ui.Verdict{Text: a.FormValue("reason"), Faults: faults(wrong), Clock: a.clock}}
	if _, known := changeDone[c.Change]; !known {
		return made{}, errNoPage
	}
	confirm := c.Confirm()
	return made{title: confirm.Title, section: layout.Admin, content: ui.ConfirmForm(confirm), status: status}, nil
}

var changeDone = map[admin.Change]string{admin.SetRole: "The role is changed.", admin.Disable: "The account is disabled.", admin.Enable: "The account is enabled.",
	admin.ClearFactor: "The second factor is removed.", admin.EndSessions: "All sessions are ended.", admin.ResetLink: "The link is made."}

func (w *Web) change(rw http.ResponseWriter, a *asked) error {
	ctx, id, reason := a.Context(), a.PathValue("id"), a.PostFormValue("reason")
	change := admin.Change(a.PathValue("change"))
	user := func(p *noun.UserPayload, err error) ([]noun.UserError, error) {
		if err != nil {
			return nil, err
		}
		return p.UserErrors, nil
	}
	var wrong []noun.UserError
	var err error
	switch change {
	case admin.SetRole:
		wrong, err = user(w.Mutation.SetUserRole(ctx, id, a.PostFormValue("role"), reason))
	case admin.Disable:
		wrong, err = user(w.Mutation.DisableUser(ctx, id, reason))
	case admin.Enable:
		wrong, err = user(w.Mutation.EnableUser(ctx, id, reason))
	case admin.ClearFactor:
		wrong, err = user(w.Mutation.ClearSecondFactor(ctx, id, reason))
	case admin.EndSessions:
		var p *noun.DonePayload
		if p, err = w.Mutation.EndSessions(ctx, id, reason); err == nil {
			wrong = p.UserErrors
		}
	case admin.ResetLink:
		return w.resetLink(rw, a, id, reason)
	default:
		return errNoPage
	}
	if err != nil {
		return err
	}
	return w.changed(rw, a, change, wrong)
}

func (w *Web) changed(rw http.ResponseWriter, a *asked, change admin.Change, wrong []noun.UserError) error {
	if len(wrong) > 0 {
		m, err := w.changing(a, wrong, refusedWith(wrong))
		return w.again(rw, a, m, err)
	}
	w.send(rw, a, admin.Person{ID: a.PathValue("id")}.URL(), &ui.Notice{State: ui.OK, Title: changeDone[change]})
	return nil
}

func (w *Web) resetLink(rw http.ResponseWriter, a *asked, id, reason string) error {
	p, err := w.Mutation.MakeResetLink(a.Context(), id, reason)
	if err != nil {
		return err
	}
	if len(p.UserErrors) > 0 {
		return w.changed(rw, a, admin.ResetLink, p.UserErrors)
	}
	who, err := w.findPerson(a.Context(), a)
	if err == nil {
		w.show(rw, a, w.linkShown(a, admin.PasswordReset, who.Email, p, "reset", who.URL()))
	}
	return err
}

func (w *Web) allTokens(a *asked) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	first, after, last, before := a.window(pageShown)
	list, err := w.Query.Tokens(ctx, nil, first, after, last, before)
	m := admin.Tokens{Clock: a.clock, Role: a.role(), Tokens: account.Tokens{Missing: a.missing(err)}}
	if list != nil {
		for _, e := range list.Edges {
			t := tokenOf(e.Node)
			if u, err := e.Node.User(ctx); err == nil && u != nil {
				t.Who = u.Email
			}
			m.Tokens.List = append(m.Tokens.List, t)
		}
		m.Pager = pager(admin.TokensPath, list.PageInfo, len(list.Edges), "token")
	}
	return made{title: "Tokens", section: layout.Admin, content: admin.TokensContent(m)}, nil
}

func (w *Web) allSessions(a *asked) (made, error) {
	if err := a.needs(runbook.Administrator); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	first, after, last, before := a.window(pageShown)
	list, err := w.Query.Sessions(ctx, nil, first, after, last, before)
	m := admin.Sessions{Clock: a.clock, Role: a.role(), Sessions: account.Sessions{Missing: a.missing(err)}}
	if list != nil {
		for _, e := range list.Edges {
			s := sessionOf(e.Node, a)
			if u, err := e.Node.User(ctx); err == nil && u != nil {
				s.Who = u.Email
			}
			m.Sessions.List = append(m.Sessions.List, s)
		}
		m.Pager = pager(admin.SessionsPath, list.PageInfo, len(list.Edges), "session")
	}
	return made{title: "Sessions", section: layout.Admin, content: admin.SessionsContent(m)}, nil
}

func (w *Web) silences(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	first, after, last, before := a.window(pageShown)
	list, err := w.Query.Silences(ctx, first, after, last, before)
	m := admin.Silences{Clock: a.clock, Role: a.role(), Missing: a.missing(err), Channels: w.channels(ctx)}
	if list != nil {
		for _, e := range list.Edges {
			m.List = append(m.List, silenceOf(e.Node))
		}
		m.Pager = pager(admin.SilencesPath, list.PageInfo, len(list.Edges), "silence")
	}
	return made{title: "Silences", section: layout.Admin, content: admin.SilencesContent(m)}, nil
}

func silenceOf(s noun.Silence) admin.Silence {
	return admin.Silence{ID: s.ID(), Cause: s.Cause, Host: s.Subject, Reason: s.Reason, CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt, StartsAt: s.StartsAt,
		EndsAt: s.EndsAt, EndedAt: or(s.EndedAt), EndedBy: or(s.EndedBy)}
}

func (w *Web) silence(a *asked) (order, error) {
	inv := w.Deps.Inventory
	f := admin.SilenceForm{Cause: a.FormValue("cause"), Host: a.FormValue("host"), For: a.FormValue("for"), Reason: a.FormValue("reason"), Clock: a.clock,
		Hosts: slices.Concat(inv.HAProxy.NodeNames(), inv.PgBouncer.PoolerNames(), []string{inv.Postgres.Name, inv.Monitor.Name})}
	for _, i := range a.frame.open {
		f.Open = append(f.Open, admin.Open{Cause: i.Cause, Host: i.Subject, Title: i.Title})
	}
	lasts, wrong := time.Hour, []noun.UserError(nil)
	refuse := func(field, message string) {
		wrong = append(wrong, noun.UserError{Field: &field, Message: message, Code: string(fault.Invalid)})
	}
	if f.For != "" {
		var err error
		if lasts, err = noun.UnmarshalDuration(f.For); err != nil {
			refuse("for", fault.MessageOf(err))
		}
	}
	switch { // the API takes no cause for every one
	case f.Cause == "":
		refuse("cause", "Choose what is to be silent.")
	case f.All() && a.PostFormValue("sure") == "":
		refuse("cause", "Nobody would be told of anything. If you want that, send it once more.")
	}
	if a.Method == http.MethodGet && f.Cause == "" {
		wrong = nil // nothing was entered yet
	}
	return order{section: layout.Admin, done: "Silenced",
		give: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			if len(wrong) > 0 || f.Cause == "" {
				return &noun.OrderPayload{UserErrors: wrong}, nil
			}
			return m.Silence(ctx, f.Cause, given(f.Host), lasts, f.Reason, dry)
		},
		confirm: func(v ui.Verdict) ui.Confirm {
			f := f
			f.Faults = v.Faults
			confirm := f.Confirm()
			confirm.Refused, confirm.Failed = v.Refused, v.Failed
			return confirm
		}}, nil
}

func (w *Web) unsilence(a *asked) (order, error) {
	n, err := w.Query.Node(a.Context(), a.PathValue("id"))
	s, ok := n.(noun.Silence)
	if !ok || err != nil {
		if code := fault.CodeOf(err); code == "" || code == fault.Invalid {
			err = fault.Errorf(fault.NotFound, "There is no such silence.")
		}
		return order{}, err
	}
	return order{section: layout.Admin, done: "The silence is ended",
		give: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.Unsilence(ctx, s.ID(), a.FormValue("reason"), dry)
		},
		confirm: func(v ui.Verdict) ui.Confirm {
			return admin.SilenceEnd{Silence: silenceOf(s), Verdict: v}.Confirm()
		}}, nil
}

func (w *Web) notifications(a *asked) (made, error) {
	if err := a.needs(runbook.Viewer); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	state := a.URL.Query().Get("state")
	m := admin.Notifications{Clock: a.clock, Role: a.role(), State: state}
	m.Channels = w.channels(ctx)
	first, after, last, before := a.window(pageShown)
	list, err := w.Query.Notifications(ctx, given(state), first, after, last, before)
	m.Missing = a.missing(err)
	if list != nil {
		titles := w.titles(ctx)
		for _, e := range list.Edges {
			m.List = append(m.List, notificationOf(e.Node, titles))
		}
		base := admin.NotificationsPath
		if state != "" {
			base += "?state=" + url.QueryEscape(state)
		}
		m.Pager = pager(base, list.PageInfo, len(list.Edges), "message")
		w.lastWords(ctx, m.Channels.List, list, state == "" && after == nil && before == nil)
	}
	return made{title: "Notifications", section: layout.Admin, content: admin.NotificationsContent(m)}, nil
}

func notificationOf(n noun.Notification, title func(incident string) string) admin.Notification {
	out := admin.Notification{ID: n.ID(), Incident: or(n.Notification.IncidentID), Channel: n.Channel, Reason: n.Reason, State: n.State, Attempts: int(n.Attempts),
		CreatedAt: n.CreatedAt, SentAt: or(n.SentAt), Error: n.Error}
	if out.Incident != "" {
		out.Title = title(out.Incident)
	}
	return out
}

// titles are those of incidents by their id in the table. Each is asked for once, and none any more
// after an error; "" is not known.
func (w *Web) titles(ctx context.Context) func(incident string) string {
	known, failed := map[string]string{}, false
	return func(id string) string {
		if _, asked := known[id]; asked || failed {
			return known[id]
		}
		n, err := w.Query.Node(ctx, noun.ID(noun.IncidentKind, id))
		failed = err != nil
		i, _ := n.(noun.Incident)
		known[id] = i.Title
		return i.Title
	}
}

// unset says what to set where a channel is not there.
var unset = map[string]string{
	"slack":   "To have it, give the monitor `SLACK_BOT_TOKEN` and `SLACK_CHANNEL`, or `SLACK_WEBHOOK_URL`.",
	"webhook": "To have it, give the monitor `ALERT_WEBHOOK_URL`. It gets the same alarms as JSON.",
}

// channels are those that the monitor says it has, and those that it could have. What it tells of
// them holds no secret.
func (w *Web) channels(ctx context.Context) (out admin.Channels) {
	owed, err := w.owed(ctx)
	if err != nil {
		return admin.Channels{Deaf: true}
	}
	for _, name := range []string{"slack", "webhook"} {
		c := admin.Channel{Name: name}
		n, is := owed[name]
		if c.Owed = n; !is {
			c.Unset = unset[name]
		}
		out.List = append(out.List, c)
	}
	return out
}

// alarm is whether anybody is told of incidents, as it was of late: who looks at the chain does not wait for
// the monitor's answer.
type alarm struct {
	mu    sync.Mutex
	asked time.Time
	told  *ui.Notice // nil: somebody is, or it was not asked yet
}

const (
	askAlarms  = 10 * time.Second
	alarmLimit = 2 * time.Second
)

func (w *Web) nobodyTold(ctx context.Context) *ui.Notice {
	a := &w.alarm
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.Sub(a.asked) > askAlarms {
		a.asked = now
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), alarmLimit)
			defer cancel()
			channels := w.channels(ctx)
			w.lastWords(ctx, channels.List, nil, false)
			told := channels.Told()
			a.mu.Lock()
			defer a.mu.Unlock()
			a.told = told
		}()
	}
	return a.told
}

// owed asks the monitor how many messages were not accepted yet, by channel.
func (w *Web) owed(ctx context.Context) (map[string]int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Monitor+"/healthz", nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var h struct {
		Pending map[string]int `json:"notifications_pending"`
	}
	return h.Pending, json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<16)).Decode(&h)
}

const lastWordsOf = 100 // messages, among which a channel's last is looked for

// lastWords are when a channel last accepted a message, and why it last did not. The page's own list
// is enough when it is the newest of all messages, and tells it of every channel.
func (w *Web) lastWords(ctx context.Context, channels []admin.Channel, list *noun.NotificationConnection, newest bool) {
	if newest && (lastOf(channels, list) || !list.PageInfo.HasNextPage) {
		return
	}
	if !slices.ContainsFunc(channels, func(c admin.Channel) bool { return c.Unset == "" }) {
		return
	}
	size := lastWordsOf
	if list, err := w.Query.Notifications(ctx, nil, &size, nil, nil, nil); err == nil {
		lastOf(channels, list)
	}
}

// lastOf reports whether the list, newest first, has a message that was accepted for every channel there is.
func lastOf(channels []admin.Channel, list *noun.NotificationConnection) bool {
	all := true
	for i := range channels {
		c := &channels[i]
		if c.Unset != "" {
			continue
		}
		for _, e := range list.Edges {
			if e.Node.Channel != c.Name {
				continue
			}
			if e.Node.SentAt != nil {
				c.LastSent = *e.Node.SentAt
				break
			}
			if c.Error == "" && e.Node.State != "collapsed" {
				c.Error = e.Node.Error
			}
		}
		all = all && !c.LastSent.IsZero()
	}
	return all
}

func (w *Web) audit(a *asked) (made, error) {
	if err := a.needs(runbook.Operator); err != nil {
		return made{}, err
	}
	ctx, cancel := a.limited()
	defer cancel()
	m := admin.Audit{Clock: a.clock, Role: a.role(), Filter: admin.ParseFilter(a.URL.Query(), a.clock)}
	if len(m.Filter.Faults) == 0 {
		m.Missing = a.missing(w.entries(ctx, a, &m))
	}
	return made{title: "Audit", section: layout.Admin, content: admin.AuditContent(m)}, nil
}

// entries fills in a page of the audit.
func (w *Web) entries(ctx context.Context, a *asked, m *admin.Audit) error {
	first, after, last, before := a.window(pageShown)
	f := m.Filter
	list, err := w.Query.Audit(ctx, given(f.Actor), given(f.Verb), given(f.Subject), given(f.Since), given(f.Until), first, after, last, before)
	if err != nil {
		return err
	}
	titles := w.titles(ctx)
	for _, e := range list.Edges {
		entry := entryOf(e.Node)
		if entry.Incident != "" {
			entry.Title = titles(entry.Incident)
		}
		m.Entries = append(m.Entries, entry)
	}
	m.Pager = pager(admin.AuditPath+"?"+f.Query(), list.PageInfo, len(list.Edges), "line")
	return nil
}

func entryOf(e noun.AuditEntry) admin.Entry {
	out := admin.Entry{ID: e.ID(), At: e.At, Kind: e.ActorKind, Actor: e.ActorName, Address: or(e.Address()), Verb: e.Verb, Subject: e.Subject, Reason: e.Reason,
		Outcome: e.Outcome, Detail: e.Detail(), Took: e.Took()}
	if e.Verb == string(runbook.Acknowledge) && runbook.IsUUID(e.Subject) {
		out.Incident = e.Subject
	}
	return out
}

const exported = 10_000 // entries at most

func (w *Web) auditCSV(rw http.ResponseWriter, r *http.Request) {
	a := w.ask(r)
	entries, err := w.allEntries(a)
	var out bytes.Buffer
	if err == nil {
		err = admin.WriteCSV(&out, entries)
	}
	if err != nil {
		w.Answer(rw, r, err)
		return
	}
	sendCSV(rw, "weir-audit-"+a.clock.Now.UTC().Format("20060102T1504"), out.Bytes())
}

func (w *Web) allEntries(a *asked) (out []admin.Entry, err error) {
	if err := a.needs(runbook.Operator); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.Context(), metricLimit)
	defer cancel()
	f := admin.ParseFilter(a.URL.Query(), a.clock)
	if len(f.Faults) > 0 {
		return nil, fault.Errorf(fault.Invalid, "%s", f.Faults[0].Message)
	}
	size := noun.MaxPage
	var after *string
	for len(out) < exported {
		list, err := w.Query.Audit(ctx, given(f.Actor), given(f.Verb), given(f.Subject), given(f.Since), given(f.Until), &size, after, nil, nil)
		if err != nil {
			return nil, err
		}
		for _, e := range list.Edges {
			out = append(out, entryOf(e.Node))
		}
		if after = list.PageInfo.EndCursor; !list.PageInfo.HasNextPage {
			break
		}
	}
	return out, nil
}

func testMessage(a *asked) (order, error) {
	channel, reason := a.PathValue("channel"), a.FormValue("reason")
	return order{section: layout.Admin, done: "A test message is being sent to " + channel,
		give: func(ctx context.Context, m Mutation, dry bool) (*noun.OrderPayload, error) {
			return m.TestChannel(ctx, channel, reason, dry)
		},
		confirm: func(v ui.Verdict) ui.Confirm {
			return ui.Confirm{Action: admin.Channel{Name: channel}.TestURL(), Title: "Send a test message to " + channel + "?", Submit: "Send it", Busy: "Sending …",
				Say:    "It says that it is a test, and who sent it. The delivery log shows whether it was delivered.",
				Cancel: admin.NotificationsPath, Verdict: v}
		}}, nil
}
