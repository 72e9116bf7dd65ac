package web

import (
	"slices"

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
	return made{title: "Configuration", section: layout.Configuration, content: config.List(config.ListModel{View: a.view()})}, nil
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
	c, err := w.Query.Config(a.Context(), m.Host.Name)
	m.Missing = a.missing(err)
	if c != nil {
		m.RunningUnknown = or(c.RunningUnknown)
		for _, f := range c.Files {
			m.Files = append(m.Files, config.File{Path: f.Path, Mode: f.Mode, Body: f.Body})
		}
		for _, s := range c.Running {
			m.Running = append(m.Running, config.Setting{Key: s.Key, Value: s.Value, Default: s.Default})
		}
	}
	return made{title: m.Host.Name, section: layout.Configuration, content: config.Content(m)}, nil
}
