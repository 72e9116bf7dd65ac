package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weir/ops/postgres/postgrestest"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheHeartbeatStopsWithTheLooksAndKeepsItsURLSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log postgrestest.Log
		var calls atomic.Int32
		var fresh, fail atomic.Bool
		fresh.Store(true)
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			if fail.Load() {
				return nil, errors.New("no route to host")
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(""))}, nil
		})}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			heartbeat(ctx, "https://beat.test/hush", client, fresh.Load, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		next := func(d time.Duration) int32 {
			before := calls.Load()
			pause(ctx, d)
			synctest.Wait()
			return calls.Load() - before
		}
		if n := next(10*time.Minute + 10*time.Second); n != 11 {
			t.Errorf("%d calls in ten minutes", n)
		}
		fresh.Store(false)
		if n := next(10 * time.Minute); n != 0 {
			t.Errorf("%d calls while nothing is looked at", n)
		}
		fresh.Store(true)
		fail.Store(true)
		next(10 * time.Minute)
		if said := log.String(); strings.Count(said, "heartbeat") != 1 || strings.Contains(said, "hush") {
			t.Errorf("log:\n%s", said)
		}
		stop()
		<-done
	})
}
