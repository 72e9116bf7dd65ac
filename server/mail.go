package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
)

// mailLimit is for one message: whoever made the link does not wait for it.
const mailLimit = 30 * time.Second

// readMail reads SMTP_URL, such as smtp://user:password@mail.example.org:587?from=weir@example.org, or
// smtps:// for TLS from the first byte. With smtp:// TLS is begun by STARTTLS; ?tls=none leaves it
// out, for a mail server on this machine. "" is no mail. The error holds no secret.
func readMail(text string) (*mailer, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("SMTP_URL must be smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS, or smtps://")
	}
	m := &mailer{from: u.Query().Get("from")}
	if err := mail.NewMsg().From(m.from); err != nil {
		return nil, fmt.Errorf("SMTP_URL: from is %q, and must be an address", m.from)
	}
	options := []mail.Option{mail.WithTimeout(mailLimit)}
	switch {
	case u.Scheme == "smtps":
		options = append(options, mail.WithSSLPort(false))
	case u.Query().Get("tls") == "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS), mail.WithPort(25))
	default:
		options = append(options, mail.WithTLSPortPolicy(mail.TLSMandatory))
	}
	if port := u.Port(); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, errors.New("SMTP_URL: the port is no number")
		}
		options = append(options, mail.WithPort(n))
	}
	if user := u.User.Username(); user != "" {
		password, _ := u.User.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(user), mail.WithPassword(password))
	}
	if m.client, err = mail.NewClient(u.Hostname(), options...); err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	return m, nil
}

// mailer sends each message over a connection of its own.
type mailer struct {
	client *mail.Client
	from   string

	mu       sync.Mutex
	underway map[*letter]bool
}

// letter is a message on its way.
type letter struct {
	to   string
	done chan struct{} // closed when that has ended
}

// post sends in the background; failed is told why it could not.
func (m *mailer) post(ctx context.Context, to, subject, body string, failed func(error)) {
	l := &letter{to, make(chan struct{})}
	m.mu.Lock()
	if m.underway == nil {
		m.underway = map[*letter]bool{}
	}
	m.underway[l] = true
	m.mu.Unlock()
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailLimit)
		defer cancel()
		if err := m.send(ctx, to, subject, body); err != nil {
			failed(err)
		}
		m.mu.Lock()
		delete(m.underway, l)
		m.mu.Unlock()
		close(l.done)
	}()
}

// wait waits for the messages under way, until ctx ends, and answers to whom they go that are then.
func (m *mailer) wait(ctx context.Context) (left []string) {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	letters := slices.Collect(maps.Keys(m.underway))
	m.mu.Unlock()
	for _, l := range letters {
		select {
		case <-l.done:
			continue
		default:
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			left = append(left, l.to)
		}
	}
	return left
}

func (m *mailer) send(ctx context.Context, to, subject, body string) error {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(m.from), msg.To(to)); err != nil {
		return err
	}
	msg.Subject(subject)
	msg.SetBodyString(mail.TypeTextPlain, body)
	return m.client.DialAndSendWithContext(ctx, msg)
}

// mailing are accounts whose one-time links also go to those they are for. Whoever made one is shown
// it all the same: mail may take its time, or not arrive.
type mailing struct {
	*session.Manager
	mail   *mailer
	public *url.URL
	user   func(ctx context.Context, id int64) (queries.User, error)
	log    *slog.Logger
}

// Invite implements graph.Accounts.
func (m mailing) Invite(ctx context.Context, by runbook.Actor, email string, role runbook.Role) (string, time.Time, error) {
	token, expires, err := m.Manager.Invite(ctx, by, email, role)
	if err == nil {
		m.tell(ctx, email, "You are invited to Weir", fmt.Sprintf("%s invites you as %s. Make your account here, until %s:\n\n%s\n",
			by.Name, role, expires.UTC().Format("2 January 15:04 UTC"), m.public.JoinPath("invitation", token)))
	}
	return token, expires, err
}

// ResetLink implements graph.Accounts.
func (m mailing) ResetLink(ctx context.Context, by runbook.Actor, user int64, reason string) (string, time.Time, error) {
	token, expires, err := m.Manager.ResetLink(ctx, by, user, reason)
	if err == nil {
		u, unknown := m.user(ctx, user)
		if unknown != nil {
			m.log.WarnContext(ctx, "link for a new password is not mailed", "error", unknown)
			return token, expires, nil
		}
		m.tell(ctx, u.Email, "A new password for Weir", fmt.Sprintf("%s made a link with which you set a new password, until %s:\n\n%s\n",
			by.Name, expires.UTC().Format("2 January 15:04 UTC"), m.public.JoinPath("reset", token)))
	}
	return token, expires, err
}

// tell sends in the background. The link is a secret: the log has the address alone.
func (m mailing) tell(ctx context.Context, to, subject, body string) {
	if m.mail == nil {
		return
	}
	m.mail.post(ctx, to, subject, body, func(err error) { m.log.WarnContext(ctx, "link is not mailed", "to", to, "error", err) })
}
