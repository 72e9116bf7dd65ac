// Monitor watches the chain: it polls every part (fleet), judges what it sees (incident), tells
// people (slack), and writes the record of it where the console reads it (queries). Its own truth
// is in files, for the database that it writes to is one of the things it watches.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"weir/ops/fleet"
)

// version is stamped by the Makefile.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, environment{Environ: os.Environ(), Stderr: os.Stderr, Dial: new(net.Dialer).DialContext}))
}

// environment is what the operating system gives.
type environment struct {
	Environ []string // NAME=VALUE
	Stderr  io.Writer
	Dial    fleet.Dial // to the parts of the cluster and the database
}

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // could not start, or had to end
	exitSettings = 2 // the settings are wrong: all mistakes are named
)

// run is the monitor from its start to its end, which is that of ctx.
func run(ctx context.Context, env environment) int {
	s, err := readSettings(env.Environ)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(env.Stderr, "monitor: "+strings.TrimSpace(line))
		}
		return exitSettings
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, nil))
	m, err := newMonitor(s, env.Dial, log)
	if err != nil {
		fmt.Fprintln(env.Stderr, "monitor: "+err.Error())
		return exitFailed
	}
	if err := m.run(ctx); err != nil {
		log.Error("monitor ends", "error", err)
		return exitFailed
	}
	return exitOK
}
