package graph

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/inventory"
	"weir/ops/render"
	"weir/ops/runbook"
)

func (r queryResolver) Config(ctx context.Context, host string) (*noun.Config, error) {
	if _, err := r.viewer(ctx, runbook.Operator); err != nil {
		return nil, err
	}
	files, err := r.files()
	if err != nil {
		return nil, err
	}
	c := &noun.Config{Host: host}
	var known bool
	if c.Files, known = files[host]; !known {
		return nil, nil
	}
	c.Running, err = r.running(ctx, host)
	if err != nil {
		why := fault.MessageOf(err)
		c.RunningUnknown = &why
	}
	return c, nil
}

// renderOnce renders every host as render does, with made-up secrets: what was never in a text cannot
// be read out of it.
func renderOnce(inv *inventory.Inventory, limit int) func() (map[string][]noun.ConfigFile, error) {
	return sync.OnceValues(func() (map[string][]noun.ConfigFile, error) {
		const no = "not-the-real-secret"
		hosts, err := render.Hosts(inv, inventory.Secrets{Postgres: no, Auth: no, Admin: no, Monitor: no, Console: no, HAProxyStats: no, Check: no}, render.Place{Files: limit})
		out := map[string][]noun.ConfigFile{}
		for _, h := range hosts {
			out[h.Name] = []noun.ConfigFile{}
			for _, f := range h.Files {
				out[h.Name] = append(out[h.Name], noun.ConfigFile{Path: f.Path, Mode: fmt.Sprintf("%04o", f.Mode.Perm()), Body: strings.ToValidUTF8(string(f.Body), "?")})
			}
		}
		return out, err
	})
}

// askLimit is what one part of the chain gets to answer a question of somebody who looks.
const askLimit = 3 * time.Second

// running are the settings that a host's program says it runs with.
func (g *Graph) running(ctx context.Context, host string) ([]noun.Setting, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if host == g.Inventory.Postgres.Name {
		settings, err := g.Statistics.Settings(ctx)
		return settings, database(err)
	}
	if report, ok := g.Reports[host]; ok {
		settings, err := report(ctx)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer.", host)
		}
		return settings, nil
	}
	pools, ok := g.Pools[host]
	if !ok {
		return nil, fault.Errorf(fault.Unavailable, "What runs there does not tell its settings.")
	}
	list, err := pools.Config(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer.", host)
	}
	out := make([]noun.Setting, len(list))
	for i, s := range list {
		out[i] = noun.Setting{Key: s.Key, Value: s.Value, Default: s.Default}
	}
	return out, nil
}
