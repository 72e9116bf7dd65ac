package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"weir/ops/fault"
)

const (
	// maxStreams is how many subscriptions one server carries; a stream that waits takes about 30 KiB.
	maxStreams = 2000
	// checkEvery is how often a stream makes sure that its session or token still holds.
	checkEvery = time.Second
)

// follow runs a subscription until its client leaves, its session ends, or produce does. An error of
// produce is told before the stream ends.
func follow[T any](ctx context.Context, g *Graph, produce func(ctx context.Context, send func(T) bool) error) (<-chan T, error) {
	if g.streams.Add(1) > maxStreams {
		g.streams.Add(-1)
		return nil, fault.Errorf(fault.RateLimited, "Too many streams are open. Try again later.")
	}
	out := make(chan T)
	tell := ctx // the transport's, where errors of a stream are left for it
	ctx, cancel := context.WithCancelCause(ctx)
	go g.watch(ctx, cancel)
	go func() {
		defer g.streams.Add(-1)
		defer close(out)
		err := produce(ctx, func(v T) bool {
			select {
			case out <- v:
				return true
			case <-ctx.Done():
				return false
			}
		})
		if fault.CodeOf(context.Cause(ctx)) == fault.Unauthenticated {
			err = context.Cause(ctx)
		}
		cancel(nil)
		if err != nil && tell.Err() == nil {
			g.endWith(tell, err)
		}
	}()
	return out, nil
}

// watch ends a stream whose session or token is over. That this cannot be known ends nothing.
func (g *Graph) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for wait(ctx, tick.C) {
		if err := g.Check(ctx); fault.CodeOf(err) == fault.Unauthenticated {
			cancel(err)
			return
		}
	}
}

// endWith leaves an error for the end of the stream: as a message of its own over a WebSocket, and as
// a last event over server-sent events.
func (g *Graph) endWith(ctx context.Context, err error) {
	told := g.present(ctx, err)
	if last, ok := ctx.Value(lastWordKey{}).(*lastWord); ok {
		last.set(told)
		return
	}
	if graphql.HasOperationContext(ctx) {
		transport.AddSubscriptionError(ctx, told)
	}
}
