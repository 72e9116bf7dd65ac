package web

import (
	"context"
	"slices"
	"sync"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/views/config"
	"weir/views/layout"
)

func (w *Web) configPages(see seeing) {
	see(string(layout.Configuration), w.configuration)
	see(string(layout.Configuration)+"/{host}", w.configurationOf)
}

func (w *Web) configuration(a *asked) (made, error) {
	if err := a.needs(runbook.Operator); err != nil {
		return made{}, err
	}
	m := config.ListModel{View: a.view(), Hosts: config.Hosts(w.Deps.Inventory)}
	if !a.stream { // nothing of it is live
		m.Checks = w.configChecks(a, m.Hosts)
	}
	return made{title: "Configuration", section: layout.Configuration, content: config.List(m)}, nil
}

// configChecks asks all hosts at once: one that does not answer keeps the page
// no longer than itself.
func (w *Web) configChecks(a *asked, hosts []config.Host) map[string]config.Check {
	ctx, cancel := a.limited()
	defer cancel()
	found := make([]config.Check, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() {
			m := config.Model{Host: h}
			if err := w.configOf(ctx, &m); err != nil {
				m.RunningUnknown = fault.MessageOf(err)
			}
			found[i] = m.Compared()
		})
	}
	all.Wait()
	out := map[string]config.Check{}
	for i, h := range hosts {
		out[h.Name] = found[i]
	}
	return out
}

// rereads is what a reload would change if the files of a pooler, or of all, are those that are rendered.
func (w *Web) rereads(a *asked, pooler string) (lines []string) {
	ctx, cancel := a.limited()
	defer cancel()
	for _, name := range w.Deps.Inventory.PgBouncer.PoolerNames() {
		m := config.Model{Host: config.Host{Name: name}}
		if pooler == "" || pooler == name {
			if err := w.configOf(ctx, &m); err == nil {
				lines = append(lines, m.Rereads()...)
			}
		}
	}
	return lines
}

func (w *Web) configurationOf(a *asked) (made, error) {
	if err := a.needs(runbook.Operator); err != nil {
		return made{}, err
	}
	hosts := config.Hosts(w.Deps.Inventory)
	i := slices.IndexFunc(hosts, func(h config.Host) bool { return h.Name == a.PathValue("host") })
	if i < 0 {
		return made{}, fault.Errorf(fault.NotFound, "There is no host %q in the inventory.", a.PathValue("host"))
	}
	m := config.Model{Clock: a.clock, Host: hosts[i]}
	m.Missing = a.missing(w.configOf(a.Context(), &m))
	return made{title: m.Host.Name, section: layout.Configuration, content: config.Content(m)}, nil
}

// configOf is what is rendered for a host, and what runs there.
func (w *Web) configOf(ctx context.Context, m *config.Model) error {
	c, err := w.Query.Config(ctx, m.Host.Name)
	if c == nil {
		return err
	}
	if c.RunningUnknown != nil {
		m.RunningUnknown = *c.RunningUnknown
	}
	for _, f := range c.Files {
		m.Files = append(m.Files, config.File{Path: f.Path, Mode: f.Mode, Body: f.Body})
	}
	for _, s := range c.Running {
		m.Running = append(m.Running, config.Setting{Key: s.Key, Value: s.Value, Default: s.Default})
	}
	return err
}
