package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"weir/ops/bench"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/lab"
)

// gap measures what clients notice while something else breaks the chain.
func (c *command) gap() *cobra.Command {
	var last time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use: "gap", GroupID: "measure", Args: cobra.NoArgs,
		Short: "Measure the longest time without a successful new connection, until interrupted",
		Long: "Eight clients open new connections through the VIP and query, a hundred times a second in all; twenty\n" +
			"hold theirs. Break something meanwhile (weir kill haproxy1 haproxy), then interrupt.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			cfg, err := gapConfig(l, inv)
			if err != nil {
				return err
			}
			g, err := bench.Start(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "measuring %s; interrupt to end\n", cfg.Target)
			select {
			case <-cmd.Context().Done():
			case <-time.After(last):
			}
			return printResult(cmd.OutOrStdout(), g.Stop(), asJSON)
		},
	}
	cmd.Flags().DurationVar(&last, "for", time.Hour, "end by itself after this long")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; the keys are stable")
	return cmd
}

func gapConfig(l *lab.Lab, inv *inventory.Inventory) (bench.GapConfig, error) {
	s, err := l.Secrets()
	if err != nil {
		return bench.GapConfig{}, err
	}
	dial, err := l.Dialer("")
	return bench.GapConfig{Dial: dial, Target: inv.VIPEndpoint(), User: "postgres", Password: s.Postgres, Database: "postgres"}, err
}

// result is what a measure has to say: to people, and to programs.
type result interface {
	fmt.Stringer
	JSON() string
}

func printResult(out io.Writer, r result, asJSON bool) error {
	text := r.String()
	if asJSON {
		text = r.JSON()
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// connectParts makes the clients of every part of a running lab. They see what the monitor's machine
// sees: PostgreSQL lets nobody else look at it directly.
func connectParts(l *lab.Lab, inv *inventory.Inventory) (*fleet.Parts, error) {
	s, err := l.Secrets()
	if err != nil {
		return nil, err
	}
	files, err := lab.FileLimit()
	if err != nil {
		return nil, err
	}
	dial, err := l.Dialer(inv.Monitor.Name)
	if err != nil {
		return nil, err
	}
	return fleet.NewParts(inv, s, haproxy.Instances(inv, files), dial)
}

// keep writes a result beside the earlier ones, by time and name.
func keep(l *lab.Lab, name string, r result) (string, error) {
	dir := filepath.Join(l.Home, "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+"-"+time.Now().UTC().Format("20060102T150405Z")+".json")
	return path, os.WriteFile(path, []byte(r.JSON()+"\n"), 0o644)
}

// runOnClient runs a command on the lab's client machine, standard output and error to out.
func runOnClient(l *lab.Lab) func(ctx context.Context, argv, env []string, out io.Writer) error {
	return func(ctx context.Context, argv, env []string, out io.Writer) error {
		argv, err := l.EnterCommand(lab.ClientHost, append([]string{"/usr/bin/env", "--"}, argv...))
		if err != nil {
			return err
		}
		return runCommand(ctx, argv, append(clientEnv(), env...), out)
	}
}

var errNotMet = errors.New("a target was not met: the table says which")
