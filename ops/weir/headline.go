package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/ops/bench"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/lab"
)

func (c *command) bench() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", GroupID: "measure", Short: "Measure the chain beside PostgreSQL itself"}
	cmd.AddCommand(c.headline())
	return cmd
}

func (c *command) headline() *cobra.Command {
	cfg := bench.HeadlineConfig{}
	cmd := &cobra.Command{
		Use: "headline", Args: cobra.NoArgs,
		Short: "pgbench with 10,500 clients through the VIP, beside PostgreSQL at its best; about six minutes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			return runHeadline(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), l, inv, cfg)
		},
	}
	cmd.Flags().IntVar(&cfg.Clients, "clients", 10500, "clients of the headline run")
	cmd.Flags().IntVar(&cfg.Threads, "threads", 150, "pgbench threads of the headline run")
	cmd.Flags().IntVar(&cfg.Scale, "scale", 50, "pgbench scale factor")
	cmd.Flags().DurationVar(&cfg.Duration, "for", 60*time.Second, "length of the headline run")
	return cmd
}

func runHeadline(ctx context.Context, out, progress io.Writer, l *lab.Lab, inv *inventory.Inventory, cfg bench.HeadlineConfig) error {
	s, err := l.Secrets()
	if err != nil {
		return err
	}
	parts, err := connectParts(l, inv)
	if err != nil {
		return err
	}
	defer parts.Close(context.WithoutCancel(ctx))
	files, err := lab.FileLimit()
	if err != nil {
		return err
	}
	pooler := inv.PgBouncer.Poolers[0]
	cfg.Run, cfg.Progress = runOnClient(l), progress
	cfg.VIP, cfg.Direct = inv.VIPEndpoint(), inv.PostgresEndpoint()
	cfg.Pooler = net.JoinHostPort(pooler.Address.String(), strconv.Itoa(inv.PgBouncer.Port))
	cfg.User, cfg.Password, cfg.Database = "postgres", s.Postgres, "postgres"
	cfg.Watch = func(ctx context.Context) (bench.Observation, error) { return observe(ctx, parts, inv, files) }
	cfg.Conditions = conditions(parts.Once(ctx), inv, files)
	r, err := bench.Headline(ctx, cfg)
	if err != nil {
		return err
	}
	path, err := keep(l, "headline", r)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nkept as %s\n", r, path)
	if !r.Met() {
		return errNotMet
	}
	return nil
}

func conditions(s *fleet.Snapshot, inv *inventory.Inventory, files int) bench.Conditions {
	c := bench.Machine()
	c.FileLimit, c.HAProxyProcesses = files, haproxy.Instances(inv, files)
	c.Poolers, c.PoolSize, c.PoolMode = len(inv.PgBouncer.Poolers), inv.PgBouncer.PoolSize, inv.PgBouncer.PoolMode
	c.Versions = append(c.Versions, "PostgreSQL "+s.Postgres.Probe.Value.Version)
	for _, p := range s.Poolers {
		if v := p.View.Value.Version; v != "" && !slices.Contains(c.Versions, v) {
			c.Versions = append(c.Versions, v)
		}
	}
	return c
}

// observe looks whether the chain stayed whole, during a run that keeps the machine busy.
func observe(ctx context.Context, parts *fleet.Parts, inv *inventory.Inventory, files int) (bench.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, places := haproxy.Capacity(inv, files)
	o := bench.Observation{ClientPlaces: min(places, inv.Budget().Clients)}
	var holders []string
	for _, n := range inv.HAProxy.Nodes {
		st, err := parts.Nodes[n.Name].Node(ctx)
		if err != nil {
			return o, err
		}
		if st.VIP {
			holders = append(holders, n.Name)
		}
		stats, err := parts.Nodes[n.Name].Stats(ctx)
		if err != nil {
			return o, err
		}
		for _, row := range stats.Servers(haproxy.Poolers) {
			if !row.State.Serving() {
				o.PoolersDown = append(o.PoolersDown, row.Name+" on "+n.Name)
			}
		}
		if front, ok := stats.Find("postgres", "FRONTEND"); ok {
			o.Clients += int(front.Sessions)
		}
	}
	o.VIPHolder = strings.Join(holders, "+")
	return o, nil
}

// runCommand runs a program to its end, standard output and error to out.
func runCommand(ctx context.Context, argv, env []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	return cmd.Run()
}
