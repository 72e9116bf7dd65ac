package runbook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"weir/ops/fault"
	"weir/ops/word"
)

// plan is an order on all the hosts it concerns.
type plan struct {
	steps  []step
	verify func(context.Context) error // that it came out as meant; nil when each step saw to that
}

// step is one host's share.
type step struct {
	host string
	do   func(context.Context) error
	undo func(context.Context) error // nil: what is done stays
}

// carryOut does every step at once. When one fails, or the whole is not as meant, all are undone:
// the one that failed too, as it may have obeyed before it said so. The deed tells host by host.
func (r *Runbook) carryOut(ctx context.Context, d *deed, p plan) error {
	errs := each(p.steps, func(s step) error { return s.do(ctx) })
	for i, s := range p.steps {
		if errs[i] == nil {
			d.say(fmt.Sprintf("%s: %s done", s.host, d.Verb))
			continue
		}
		d.say(fmt.Sprintf("%s: %s failed: %s", s.host, d.Verb, word.Because(errs[i])))
	}
	err := errors.Join(errs...)
	if err == nil && p.verify != nil {
		if err = p.verify(ctx); err != nil {
			d.say("verify: " + err.Error())
		}
	}
	if err == nil {
		return nil
	}
	return r.failed(d, err, failures(p.steps, errs), r.undo(ctx, d, p.steps))
}

// undone is what became of the hosts after a failure.
type undone struct{ back, stuck, kept []string }

func (r *Runbook) undo(ctx context.Context, d *deed, steps []step) undone {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	var u undone
	errs := each(steps, func(s step) error {
		if s.undo == nil {
			return nil
		}
		return s.undo(ctx)
	})
	for i, s := range steps {
		switch {
		case s.undo == nil:
			u.kept = append(u.kept, s.host)
		case errs[i] != nil:
			u.stuck = append(u.stuck, s.host)
			d.say(fmt.Sprintf("%s: undo failed: %s", s.host, word.Because(errs[i])))
		default:
			u.back = append(u.back, s.host)
			d.say(s.host + ": undone")
		}
	}
	return u
}

// failed is the error that says what is so now.
func (r *Runbook) failed(d *deed, err error, hosts []string, u undone) error {
	code, text := fault.Unavailable, fmt.Sprintf("%s of %s failed", d.Verb, d.Subject())
	if len(hosts) > 0 {
		text += " on " + list(hosts)
	}
	if f := new(fault.Error); errors.As(err, &f) {
		code, text = f.Code, text+": "+f.Message
	}
	text = strings.TrimSuffix(text, ".") + "."
	if len(u.back) > 0 {
		text += " It was undone on " + list(u.back) + "."
	}
	if len(u.stuck) > 0 {
		text += " It could not be undone on " + list(u.stuck) + ", where it may be in force: look there."
	}
	if len(u.kept) > len(hosts) {
		text += " On the other hosts it is done and stays."
	}
	return fault.Wrap(code, err, "%s", text)
}

func failures(steps []step, errs []error) []string {
	var out []string
	for i, s := range steps {
		if errs[i] != nil {
			out = append(out, s.host)
		}
	}
	return out
}

// each runs one function for every element at once and returns their errors in order.
func each[T any](list []T, do func(T) error) []error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, e := range list {
		wg.Go(func() { errs[i] = do(e) })
	}
	wg.Wait()
	return errs
}
