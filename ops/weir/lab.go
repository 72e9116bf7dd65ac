package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/render"
)

var labName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// The loopback ports that lead into the lab, and the variables that change them.
const (
	sqlPortEnv     = "WEIR_SQL_PORT"
	statsPortEnv   = "WEIR_STATS_PORT"
	consolePortEnv = "WEIR_CONSOLE_PORT"
)

// What leads there, as up names it.
const (
	sqlForward     = "SQL"
	statsForward   = "HAProxy statistics"
	consoleForward = "the console"
)

// forwards are the ways into the lab from outside. "none" in a variable leaves one out.
func forwards(inv *inventory.Inventory) ([]lab.Forward, error) {
	var out []lab.Forward
	for _, f := range []struct {
		name, env, target string
		port              int
	}{
		{sqlForward, sqlPortEnv, inv.VIPEndpoint(), 5432},
		{statsForward, statsPortEnv, net.JoinHostPort(inv.VIP.Address.String(), strconv.Itoa(inv.HAProxy.StatsPort)), 8404},
		{consoleForward, consolePortEnv, net.JoinHostPort(inv.Console.Address.String(), strconv.Itoa(inv.Console.Port)), 3000},
	} {
		port, err := portOf(f.env, f.port)
		if err != nil {
			return nil, err
		}
		if port != "" {
			out = append(out, lab.Forward{Name: f.name, Listen: "127.0.0.1:" + port, Target: f.target, Variable: f.env})
		}
	}
	return out, nil
}

func portOf(env string, usual int) (string, error) {
	switch value := os.Getenv(env); value {
	case "":
		return strconv.Itoa(usual), nil
	case "none":
		return "", nil
	default:
		if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("%s=%q: a port from 1 to 65535, or none", env, value)
		}
		return value, nil
	}
}

func (c *command) up() *cobra.Command {
	return &cobra.Command{
		Use: "up", GroupID: "lab", Args: cobra.NoArgs,
		Short: "Start the lab, and wait until a query through the VIP answers",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			return c.runUp(cmd.Context(), cmd.OutOrStdout(), l, inv)
		},
	}
}

func (c *command) runUp(ctx context.Context, out io.Writer, l *lab.Lab, inv *inventory.Inventory) error {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "%5.1fs  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}
	ways, err := forwards(inv)
	if err != nil {
		return err
	}
	bin, err := os.Executable()
	if err != nil {
		return err
	}
	already, err := l.Up(ctx, lab.Config{Inventory: inv, Bin: filepath.Dir(bin), Monitor: monitorSettings(), Console: consoleSettings(ways),
		Forwards: ways, Say: say})
	if err != nil {
		return err
	}
	if already {
		say("the lab was up already")
	}
	took, err := waitQuery(ctx, l, inv)
	if err != nil {
		return err
	}
	say("a query through %s answers, in %s", inv.VIPEndpoint(), took.Round(100*time.Microsecond))
	if err := waitConsole(ctx, l, inv); err != nil {
		return err
	}
	say("the console answers")
	if err := c.printPlaces(out, l, inv, ways); err != nil {
		return err
	}
	return printFirstLink(ctx, out, l, inv)
}

// monitorSettings are those of the caller's own environment that the monitor is to have.
func monitorSettings() map[string]string {
	return environment("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL", "ALERT_WEBHOOK_URL", "HEARTBEAT_URL")
}

// consoleSettings are those that the server is to have, and where people find it: at the lab's ports.
func consoleSettings(ways []lab.Forward) map[string]string {
	out := map[string]string{}
	for _, w := range ways {
		switch w.Name {
		case consoleForward:
			out["PUBLIC_URL"] = "http://" + w.Listen
		case statsForward:
			out["HAPROXY_STATS_URL"] = "http://" + w.Listen + "/stats"
		}
	}
	maps.Copy(out, environment("PUBLIC_URL", "CORS_ORIGIN", "HAPROXY_STATS_URL", "WEIR_TRUSTED_PROXIES"))
	return out
}

func environment(names ...string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			out[name] = value
		}
	}
	return out
}

// waitQuery waits until the whole chain answers.
func waitQuery(ctx context.Context, l *lab.Lab, inv *inventory.Inventory) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		began := time.Now()
		err := queryOnce(ctx, l, inv)
		if err == nil {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no query through the VIP answered within 30 s: %w\nweir status shows the chain, weir logs HOST what a host says", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func queryOnce(ctx context.Context, l *lab.Lab, inv *inventory.Inventory) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cfg, err := superuser(l, inv)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// superuser connects as postgres through the VIP, from inside the lab's network.
func superuser(l *lab.Lab, inv *inventory.Inventory) (*pgx.ConnConfig, error) {
	s, err := l.Secrets()
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", s.Postgres, inv.VIPEndpoint()))
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = l.Dial
	return cfg, nil
}

func (c *command) printPlaces(out io.Writer, l *lab.Lab, inv *inventory.Inventory, ways []lab.Forward) error {
	files, err := lab.FileLimit()
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, w := range ways {
		fmt.Fprintf(out, "  %-20s %s  ->  %s\n", w.Name, w.Listen, w.Target)
	}
	fmt.Fprintf(out, "  %-20s %s\n", "secrets", l.SecretsDir())
	fmt.Fprintf(out, "  %-20s %s\n", "budget", inv.Budget())
	for _, w := range render.Warnings(inv, files) {
		fmt.Fprintf(out, "  %-20s %s\n", "note", w)
	}
	fmt.Fprintf(out, "\nNext: bin/weir status | bin/weir psql | bin/weir kill haproxy1 haproxy\n")
	return nil
}

func (c *command) down() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use: "down", GroupID: "lab", Args: cobra.NoArgs,
		Short: "End the lab: no process, mount or network of it is left; its data stays",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.lab()
			if err != nil {
				return err
			}
			if err := l.Down(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the lab is down")
			if !purge {
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", l.Dir)
			return l.Purge()
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove its data, logs and secrets as well")
	return cmd
}

func (c *command) psql() *cobra.Command {
	return &cobra.Command{
		Use: "psql [-- PSQL-ARGUMENTS]", GroupID: "look",
		Short: "psql through the VIP as postgres, without a password typed",
		RunE: func(_ *cobra.Command, args []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			argv := append([]string{"/usr/bin/psql", "-h", inv.VIP.Address.String(), "-p", strconv.Itoa(inv.VIP.Port), "-U", "postgres"}, args...)
			return l.Enter(lab.ClientHost, argv, clientEnv())
		},
	}
}

// clientEnv is the environment of what runs on the client machine: the terminal, and where .pgpass is.
func clientEnv() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
}

func (c *command) dsn() *cobra.Command {
	return &cobra.Command{
		Use: "dsn", GroupID: "look", Args: cobra.NoArgs,
		Short: "Print the connection string, password included, for scripts on this machine",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, _, err := c.labAndInventory()
			if err != nil {
				return err
			}
			if !l.Running() {
				return lab.ErrDown
			}
			port, err := portOf(sqlPortEnv, 5432)
			if err != nil {
				return err
			}
			if port == "" {
				return errors.New(sqlPortEnv + "=none: no port outside leads to the VIP")
			}
			s, err := l.Secrets()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "postgres://postgres:%s@127.0.0.1:%s/postgres?sslmode=disable\n", s.Postgres, port)
			return nil
		},
	}
}

func (c *command) exec() *cobra.Command {
	return &cobra.Command{
		Use: "exec HOST -- COMMAND [ARGUMENTS]", GroupID: "look", Args: cobra.MinimumNArgs(2),
		Short: "Run a command on a host, in its mounts, processes and network",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := c.lab()
			if err != nil {
				return err
			}
			// env finds the program in the host's own file system.
			return l.Enter(args[0], append([]string{"/usr/bin/env", "--"}, args[1:]...), clientEnv())
		},
	}
}

// rootfs is for scripts that need the real programs without a lab.
func (c *command) rootfs() *cobra.Command {
	return &cobra.Command{
		Use: "rootfs", GroupID: "lab", Args: cobra.NoArgs,
		Short: "Make the hosts' root file system if it is not there, and print where it is",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.lab()
			if err != nil {
				return err
			}
			say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			if err := l.EnsureRootfs(cmd.Context(), say); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), l.Rootfs())
			return nil
		},
	}
}

func (c *command) render() *cobra.Command {
	return &cobra.Command{
		Use: "render DIR", GroupID: "look", Args: cobra.ExactArgs(1),
		Short: "Write every host's configuration below DIR/HOST, for provision.sh configure",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			s, err := l.Secrets()
			if err != nil {
				return err
			}
			hosts, err := render.Hosts(inv, s, render.Place{})
			if err != nil {
				return err
			}
			if err := render.Write(args[0], hosts); err != nil {
				return err
			}
			for _, h := range hosts {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files\n", filepath.Join(args[0], h.Name), len(h.Files))
			}
			return nil
		},
	}
}
