package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	// Poolers is the backend of the poolers.
	Poolers = "pgbouncer"
	// holdBackend has one server, self, whose maint asks the VIP to be elsewhere.
	holdBackend, holdServer = "hold", "self"
)

// SetServer orders a server ready, drain or maint in every process of the node, reads back that it
// is so, and on failure puts the processes it had changed back as they were. Maint shuts the
// server's sessions down, drain lets them end.
func (c *Client) SetServer(ctx context.Context, backend, server string, to Admin) error {
	actions := map[Admin]string{Ready: "ready", Drain: "drain", Maint: "maint"}
	if actions[to] == "" {
		return fmt.Errorf("set %s/%s on %s: unknown order %d", backend, server, c.node.Name, to)
	}
	return c.everywhere(ctx, order{
		verb: to.String(), backend: backend, server: server, action: actions[to],
		done: func(r Row) bool { return r.Admin == to || to == Drain && hidesDrain(r) },
		undo: func(r Row) string { return actions[r.Admin] },
	})
}

// hidesDrain says that the statistics would not show a drain.
func hidesDrain(r Row) bool { return r.State == Down || r.State == DownGoingUp }

// SetHealthCheck switches the check of a server on or off in every process, as SetServer. Switched
// off, the server keeps its state: for a pooler that shuts down gracefully, whose listener closes
// before its sessions end.
func (c *Client) SetHealthCheck(ctx context.Context, backend, server string, on bool) error {
	actions := map[bool]string{true: "ehlth", false: "dhlth"}
	verbs := map[bool]string{true: "enable the check of", false: "disable the check of"}
	checked := func(r Row) bool { return r.Check != "" }
	return c.everywhere(ctx, order{
		verb: verbs[on], backend: backend, server: server, action: actions[on],
		done: func(r Row) bool { return checked(r) == on },
		undo: func(r Row) string { return actions[checked(r)] },
	})
}

// SetHold asks the VIP to leave this node, or lets it come back one day. The node gives it up only
// while the other one can take it: see NodeState.Ready for whether it does.
func (c *Client) SetHold(ctx context.Context, on bool) error {
	c.orders.Lock()
	defer c.orders.Unlock()
	action := map[bool]string{true: "maint", false: "ready"}[on]
	if err := c.post(ctx, 1, holdBackend, holdServer, action); err != nil {
		return err
	}
	state, err := c.Node(ctx)
	if err != nil {
		return err
	}
	if state.Hold != on {
		return fmt.Errorf("hold %s: it says hold=%t after the order for %t", c.node.Name, state.Hold, on)
	}
	return nil
}

// order is one change of one server, the same in every process.
type order struct {
	verb, backend, server, action string

	done func(Row) bool
	undo func(was Row) string // the action that leads back
}

func (o order) String() string { return o.verb + " " + o.backend + "/" + o.server }

// everywhere gives an order to every process of the node, or to none.
func (c *Client) everywhere(ctx context.Context, o order) error {
	c.orders.Lock()
	defer c.orders.Unlock()
	was := make([]Row, len(c.bases))
	for i := range c.bases {
		var err error
		if was[i], err = c.row(ctx, i+1, o); err != nil {
			return fmt.Errorf("%s on %s: %w", o, c.node.Name, err)
		}
	}
	for i := range c.bases {
		err := c.obey(ctx, i+1, o)
		if err == nil {
			continue
		}
		// The process that failed may have obeyed all the same.
		return fmt.Errorf("%s on %s: %w", o, c.node.Name, errors.Join(err, c.putBack(ctx, o, was[:i+1])))
	}
	return nil
}

// obey gives the order to the n-th process and reads back that it was followed.
func (c *Client) obey(ctx context.Context, n int, o order) error {
	if err := c.post(ctx, n, o.backend, o.server, o.action); err != nil {
		return err
	}
	now, err := c.row(ctx, n, o)
	if err != nil {
		return err
	}
	if !o.done(now) {
		return fmt.Errorf("%s shows it %s and %s after the order", c.process(n), now.State, now.Admin)
	}
	return nil
}

// putBack undoes an order in the processes of was, also when the caller's time is up.
func (c *Client) putBack(ctx context.Context, o order, was []Row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var errs []error
	for i, r := range was {
		if o.done(r) {
			continue
		}
		if err := c.post(ctx, i+1, o.backend, o.server, o.undo(r)); err != nil {
			errs = append(errs, fmt.Errorf("undo: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) row(ctx context.Context, n int, o order) (Row, error) {
	rows, err := c.rows(ctx, n)
	if err != nil {
		return Row{}, err
	}
	r, ok := Stats{Rows: rows}.Find(o.backend, o.server)
	if !ok || r.Kind != Server {
		return Row{}, fmt.Errorf("%s has no such server", c.process(n))
	}
	return r, nil
}

// post gives one order the way the statistics page's form does. HAProxy answers with a redirect
// whose st= says how it went (http_ana.c): DONE, or what follows is an error.
func (c *Client) post(ctx context.Context, n int, backend, server, action string) error {
	form := url.Values{"s": {server}, "action": {action}, "b": {backend}}
	resp, _, err := c.do(ctx, n, http.MethodPost, "/stats", form)
	if err != nil {
		return err
	}
	_, outcome, _ := strings.Cut(resp.Header.Get("Location"), "st=")
	if resp.StatusCode != http.StatusSeeOther || outcome != "DONE" {
		return fmt.Errorf("order %s of %s/%s to %s: answer %s %s", action, backend, server, c.process(n), resp.Status, outcome)
	}
	return nil
}
