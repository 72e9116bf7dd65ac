package runbook

import (
	"context"
	"fmt"
	"time"
)

// Incidents are what people say about incidents: rows that the monitor reads before it speaks.
type Incidents interface {
	// Acknowledge says that somebody is at it. NotFound, or Conflict when it is over or acknowledged before.
	Acknowledge(ctx context.Context, id, by, reason string, at time.Time) error
	// Silence keeps one and returns its id.
	Silence(ctx context.Context, s Silenced) (id int64, err error)
	// Unsilence ends one. NotFound, or Conflict when it is over.
	Unsilence(ctx context.Context, id int64, by string, at time.Time) error
	// Test has the monitor send a test message.
	Test(ctx context.Context, channel string, at time.Time) error
}

// Silenced is who wants to hear nothing about what, and until when.
type Silenced struct {
	Cause   string // glob over causes
	Subject string // host, "" is every one
	Reason  string
	By      string
	At      time.Time
	Until   time.Time
}

func acknowledge(ctx context.Context, r *Runbook, d *deed) error {
	return r.Incidents.Acknowledge(ctx, d.Incident, d.actor.Name, d.Reason, d.at)
}

func silence(ctx context.Context, r *Runbook, d *deed) error {
	id, err := r.Incidents.Silence(ctx, Silenced{Cause: orAll(d.Cause, "*"), Subject: d.Host, Reason: d.Reason,
		By: d.actor.Name, At: d.at, Until: d.at.Add(d.For)})
	if err == nil {
		d.expires = d.at.Add(d.For)
		d.say(fmt.Sprintf("silence %d until %s", id, d.expires.Format(time.RFC3339)))
	}
	return err
}

func unsilence(ctx context.Context, r *Runbook, d *deed) error {
	return r.Incidents.Unsilence(ctx, d.Silence, d.actor.Name, d.at)
}

func test(ctx context.Context, r *Runbook, d *deed) error {
	if err := r.Incidents.Test(ctx, d.Channel, d.at); err != nil {
		return err
	}
	d.say("the monitor sends it within a few seconds: the delivery log tells what came of it")
	return nil
}
