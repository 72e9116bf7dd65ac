package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"weir/ops/incident"
)

const (
	pace    = time.Second // Slack takes one message a second for each channel,
	burst   = 3           // and a few at once: what belongs to one fault is told together
	timeout = 10 * time.Second
	// lastMoment is what a request under way gets at the end; the monitor stops within 2 s.
	lastMoment = 1500 * time.Millisecond
	// longestWait caps the wait after 5xx and time-outs; Retry-After is obeyed whatever it says.
	longestWait = time.Minute
)

// Settings say where to. Each is a secret. Empty is not used; the bot, if there is one, is used in
// place of the Slack webhook.
type Settings struct {
	SlackWebhookURL string // SLACK_WEBHOOK_URL
	SlackBotToken   string // SLACK_BOT_TOKEN
	SlackChannel    string // SLACK_CHANNEL: ID or name, with the token
	AlertWebhookURL string // ALERT_WEBHOOK_URL
	SlackAPIURL     string // of a fake, in tests; "" is Slack's own
}

// Validate names everything that is wrong, by the names of the environment, without the values.
func (s Settings) Validate() error {
	var errs []error
	for _, u := range []struct{ name, value string }{{"SLACK_WEBHOOK_URL", s.SlackWebhookURL}, {"ALERT_WEBHOOK_URL", s.AlertWebhookURL}} {
		parsed, err := url.Parse(u.value)
		if u.value != "" && (err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http") {
			errs = append(errs, fmt.Errorf("%s is not an http or https URL", u.name))
		}
	}
	if (s.SlackBotToken == "") != (s.SlackChannel == "") {
		errs = append(errs, errors.New("SLACK_BOT_TOKEN and SLACK_CHANNEL go together: one is missing"))
	}
	return errors.Join(errs...)
}

// destination is one place to tell. deliver makes one request; done is false while there is more
// to be told about the same entry.
type destination struct {
	name    string
	wants   func(incident.Reason) bool
	deliver func(context.Context, *Entry, Post) (post Post, done bool, err error)
}

// Delivery is the state of one entry in one place, as the table notification keeps it.
type Delivery struct {
	Entry
	Channel string // slack, webhook
	State   string // pending, sent, failed, collapsed
	SentAt  time.Time
	Ref     string // Slack's ts
}

// Poster delivers what is in the outbox, each destination in a loop of its own.
type Poster struct {
	Outbox       *Outbox
	NewID        func() string  // a UUID version 7
	Log          *slog.Logger   // never sees a secret
	OnDelivery   func(Delivery) // every change; may be nil; called by several goroutines
	destinations []destination
	secrets      []string
}

// NewPoster makes the destinations that are set. client makes the requests.
func NewPoster(box *Outbox, s Settings, client *http.Client, newID func() string, log *slog.Logger) (*Poster, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := &Poster{Outbox: box, NewID: newID, Log: log, secrets: s.secrets()}
	stay := *client // a redirect would carry the message elsewhere
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch {
	case s.SlackBotToken != "":
		p.destinations = append(p.destinations, bot(s, &stay))
	case s.SlackWebhookURL != "":
		p.destinations = append(p.destinations, webhook(s.SlackWebhookURL, &stay))
	}
	if s.AlertWebhookURL != "" {
		p.destinations = append(p.destinations, alert(s.AlertWebhookURL, &stay))
	}
	return p, nil
}

// Destinations are the names of those that are set: slack, webhook.
func (p *Poster) Destinations() []string {
	var names []string
	for _, d := range p.destinations {
		names = append(names, d.name)
	}
	return names
}

// Put takes a decision in: it will be delivered, also by the next process if the disk could take it
// (Outbox.Flush). Putting the same decision again changes nothing.
func (p *Poster) Put(i incident.Incident, d incident.Decision, now time.Time) {
	for _, to := range p.destinations {
		if to.wants(d.Reason) {
			p.take(to.name, Entry{ID: p.NewID(), Key: d.Key, Reason: d.Reason, Incident: i, At: now})
		}
	}
}

func (p *Poster) take(to string, e Entry) {
	taken, replaced, err := p.Outbox.put(to, e)
	if err != nil {
		p.Log.Error("message is not on disk: lost if the process dies before it is delivered", "to", to, "key", e.Key, "error", err)
	}
	for _, old := range replaced {
		p.tell(Delivery{Entry: old, Channel: to, State: "collapsed"})
	}
	if taken {
		p.tell(Delivery{Entry: e, Channel: to, State: "pending"})
	}
}

// Test is the reason of a message that tries whether messages arrive.
const Test incident.Reason = "test"

// Test sends such a message to one channel. id is that of its row; the same one twice is one message.
func (p *Poster) Test(id, channel string, at time.Time) {
	e := Entry{ID: id, Key: "test/" + id, Reason: Test, At: at, Incident: incident.Incident{ID: id, OpenedAt: at, Since: at, State: incident.Firing,
		Finding: incident.Finding{Cause: "test", Kind: "test", Severity: incident.Info, Title: "Test message",
			Impact: "Nothing is wrong: somebody tries on the console whether messages arrive here. The audit says who.", Action: "Nothing."}}}
	if !slices.ContainsFunc(p.destinations, func(d destination) bool { return d.name == channel }) {
		e.Error = "not set up: the monitor has no address for it"
		p.tell(Delivery{Entry: e, Channel: channel, State: "failed"})
		return
	}
	p.take(channel, e)
}

func (p *Poster) tell(d Delivery) {
	if p.OnDelivery != nil {
		p.OnDelivery(d)
	}
}

// Run delivers until ctx ends, and returns when every request has.
func (p *Poster) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, d := range p.destinations {
		wg.Go(func() { p.run(ctx, d) })
	}
	wg.Wait()
}

func (p *Poster) run(ctx context.Context, d destination) {
	limit := rate.NewLimiter(rate.Every(pace), burst)
	for ctx.Err() == nil {
		after, ok, more := p.Outbox.next(d.name)
		if !ok {
			select {
			case <-more:
			case <-ctx.Done():
			}
			continue
		}
		if !until(ctx, after) || limit.Wait(ctx) != nil {
			return
		}
		p.attempt(ctx, d)
	}
}

// until waits, and reports whether the time came before the end.
func until(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// attempt makes one request, and writes down what came of it. A request that is under way when ctx
// ends has a moment to be answered: cut off, it would be repeated by the next process.
func (p *Poster) attempt(ctx context.Context, d destination) {
	e, post := p.Outbox.begin(d.name)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastMoment, cancel) })()
	e.Attempts++
	post, done, err := d.deliver(limited, &e, post)
	now := time.Now()
	state := "pending"
	switch permanent, wait := judge(err, e.Attempts); {
	case err == nil && done:
		state, e.Error, e.After = "sent", "", time.Time{}
	case err == nil:
		e.Attempts, e.Error, e.After = e.Attempts-1, "", time.Time{}
	case permanent:
		state, done, e.Error = "failed", true, p.scrub(err)
		p.Log.Error("message refused, and dropped", "to", d.name, "key", e.Key, "title", e.Incident.Title, "reason", e.Error)
	default:
		done, e.Error, e.After = false, p.scrub(err), now.Add(wait)
		p.Log.Warn("message not accepted yet", "to", d.name, "key", e.Key, "attempt", e.Attempts, "again_in", wait, "reason", e.Error)
	}
	if err := p.Outbox.settle(d.name, e, post, done, now); err != nil {
		p.Log.Error("delivery not written down: it may be repeated after a restart", "to", d.name, "key", e.Key, "error", err)
	}
	delivery := Delivery{Entry: e, Channel: d.name, State: state, Ref: post.TS}
	if state == "sent" {
		delivery.SentAt = now
	}
	p.tell(delivery)
}

// judge says whether trying again is pointless, and if not, how long to wait.
func judge(err error, attempts int) (permanent bool, wait time.Duration) {
	wait = min(longestWait, time.Second<<min(attempts-1, 10))
	var limited *slack.RateLimitedError
	var status slack.StatusCodeError
	var answer slack.SlackErrorResponse
	switch {
	case err == nil:
		return false, 0
	case errors.As(err, &limited):
		return false, max(limited.RetryAfter, pace)
	case errors.As(err, &status):
		again := status.Code >= 500 || status.Code == http.StatusRequestTimeout || status.Code == http.StatusTooManyRequests
		return !again, wait
	case errors.As(err, &answer):
		return !slices.Contains(passing, answer.Err), wait
	}
	return false, wait
}

// passing are errors of Slack's Web API that a later attempt may not meet.
var passing = []string{"internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited",
	"rate_limited", "message_limit_exceeded", "team_added_to_org", "accesslimited"}

// scrub makes an error fit to be read by anybody: without URL or token, which are the secrets.
func (p *Poster) scrub(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	text := err.Error()
	for _, secret := range p.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// secrets are the settings, and the paths of the addresses: whoever knows one can post.
func (s Settings) secrets() []string {
	all := []string{s.SlackWebhookURL, s.AlertWebhookURL, s.SlackBotToken}
	for _, address := range all[:2] {
		if parsed, err := url.Parse(address); err == nil && len(parsed.Path) > 1 {
			all = append(all, parsed.RequestURI(), parsed.EscapedPath(), parsed.RawQuery, parsed.User.String())
		}
	}
	return all
}

// webhook can only send: one message when it opens, one when it is over.
func webhook(address string, client *http.Client) destination {
	return destination{
		name: "slack",
		wants: func(r incident.Reason) bool {
			return r == incident.First || r == incident.Again || r == incident.RecoverOK
		},
		deliver: func(ctx context.Context, e *Entry, _ Post) (Post, bool, error) {
			m := Format(e.Incident, e.Reason, e.At)
			err := slack.PostWebhookCustomHTTPContext(ctx, address, client,
				&slack.WebhookMessage{Text: m.Text, Blocks: &slack.Blocks{BlockSet: m.Blocks}})
			return Post{}, true, err
		},
	}
}

// bot keeps one message for each incident up to date, and tells the changes in its thread.
func bot(s Settings, client *http.Client) destination {
	options := []slack.Option{slack.OptionHTTPClient(client)}
	if s.SlackAPIURL != "" {
		options = append(options, slack.OptionAPIURL(s.SlackAPIURL))
	}
	api := slack.New(s.SlackBotToken, options...)
	post := func(ctx context.Context, e *Entry, m Message) (Post, bool, error) {
		channel, ts, err := api.PostMessageContext(ctx, s.SlackChannel,
			slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...), slack.MsgOptionDisableLinkUnfurl())
		return Post{Channel: channel, TS: ts, At: e.At}, true, err
	}
	return destination{
		name:  "slack",
		wants: func(r incident.Reason) bool { return r != incident.None },
		deliver: func(ctx context.Context, e *Entry, at Post) (Post, bool, error) {
			m := Format(e.Incident, e.Reason, e.At)
			if at.TS == "" {
				return post(ctx, e, m)
			}
			if !e.Edited {
				_, _, _, err := api.UpdateMessageContext(ctx, at.Channel, at.TS, slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...))
				if gone(err) {
					return post(ctx, e, m)
				}
				e.Edited = err == nil
				return at, m.Thread == "", err
			}
			line := []slack.MsgOption{slack.MsgOptionText(m.Thread, false), slack.MsgOptionTS(at.TS)}
			if m.Loud {
				line = append(line, slack.MsgOptionBroadcast())
			}
			_, _, err := api.PostMessageContext(ctx, at.Channel, line...)
			return at, true, err
		},
	}
}

// gone says that somebody deleted the message, or that it can no longer be edited.
func gone(err error) bool {
	var answer slack.SlackErrorResponse
	return errors.As(err, &answer) && slices.Contains([]string{"message_not_found", "cant_update_message", "edit_window_closed"}, answer.Err)
}

// alert posts plain JSON.
func alert(address string, client *http.Client) destination {
	return destination{
		name:  "webhook",
		wants: func(r incident.Reason) bool { return r != incident.None && r != incident.Other },
		deliver: func(ctx context.Context, e *Entry, _ Post) (Post, bool, error) {
			body, err := json.Marshal(Plain(e.Incident, e.Reason, e.Key, e.At))
			if err != nil {
				return Post{}, false, err
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
			if err != nil {
				return Post{}, false, err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				return Post{}, false, err
			}
			defer resp.Body.Close()
			return Post{}, true, refusal(resp)
		},
	}
}

// refusal is the error of an answer that is not a success, of the kinds that slack-go makes.
func refusal(resp *http.Response) error {
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && err == nil:
		return &slack.RateLimitedError{RetryAfter: time.Duration(after) * time.Second}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	}
	return nil
}
