// Server is the console and the API: accounts, the GraphQL API at /graphql, and the orders that
// operate the chain. It polls the chain itself, so that it goes on showing it while the database
// that holds everything else is away.
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
	os.Exit(run(ctx, environment{Arguments: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
		Dial: new(net.Dialer).DialContext, Listen: net.Listen}))
}

// environment is what the operating system gives.
type environment struct {
	Arguments []string
	Environ   []string // NAME=VALUE
	Stdout    io.Writer
	Stderr    io.Writer
	Dial      fleet.Dial // to the parts of the cluster and the database
	Listen    func(network, address string) (net.Listener, error)
}

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // could not start or do what was asked, or had to end
	exitSettings = 2 // the settings or arguments are wrong: all mistakes are named
)

// run is the server from its start to its end, which is that of ctx; or one of its commands.
func run(ctx context.Context, env environment) int {
	ask, err := readArguments(env.Arguments)
	if err != nil {
		return complain(env.Stderr, exitSettings, err)
	}
	s, err := readSettings(append(env.Environ, ask.settings...))
	if err != nil {
		return complain(env.Stderr, exitSettings, err)
	}
	if ask.do != nil {
		if err := ask.do(ctx, s, env); err != nil {
			return complain(env.Stderr, exitFailed, err)
		}
		return exitOK
	}
	log := newLog(env.Stderr)
	srv, err := newServer(s, env, log)
	if err != nil {
		return complain(env.Stderr, exitFailed, err)
	}
	if err := srv.run(ctx); err != nil {
		log.Error("server ends", "error", err)
		return exitFailed
	}
	return exitOK
}

func complain(w io.Writer, code int, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(w, "server: "+strings.TrimSpace(line))
	}
	return code
}

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
