package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/postgres"
	"weir/ops/runbook"
)

func (r queryResolver) Fleet(ctx context.Context) (*noun.Fleet, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	f := r.fleet()
	return &f, nil
}

func (r subscriptionResolver) FleetChanged(ctx context.Context, every time.Duration) (<-chan *noun.Fleet, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if every < 200*time.Millisecond || every > time.Minute {
		return nil, fault.Field("every", "The shortest time between two is PT0.2S to PT1M.")
	}
	return follow(ctx, r.Graph, func(ctx context.Context, send func(*noun.Fleet) bool) error {
		pace := time.NewTicker(every)
		defer pace.Stop()
		s, _ := r.Deps.Fleet.Now()
		for {
			f := r.look(s)
			if !send(&f) || !wait(ctx, pace.C) {
				return nil
			}
			var err error
			if s, err = r.newer(ctx, s); err != nil {
				return nil
			}
		}
	})
}

func (g *Graph) newer(ctx context.Context, s *fleet.Snapshot) (*fleet.Snapshot, error) {
	return g.Deps.Fleet.Next(ctx, s.Version)
}

func wait(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-ctx.Done():
		return false
	}
}

func (passageResolver) Server(_ context.Context, p *postgres.Passage) (string, error) {
	return p.Server.String(), nil
}
