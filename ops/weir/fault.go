package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"weir/ops/lab"
)

// faults are the commands that break the chain, and mend it.
func (c *command) faults() []*cobra.Command {
	return []*cobra.Command{
		c.kill(),
		c.order("stop", "End a process cleanly; it stays down"),
		c.order("start", "Start a process, or a host that is off"),
		c.order("restart", "End a process cleanly and wait until it serves again"),
		c.order("reload", "Have a process read its files again"),
		c.order("freeze", "Stop a process where it is (SIGSTOP): it hangs, and answers nobody"),
		c.order("thaw", "Let a frozen process go on"),
		c.cut(), c.heal(), c.slow(),
	}
}

// order is a verb for one process of one host.
func (c *command) order(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " HOST [PROCESS]", GroupID: "fault", Args: cobra.RangeArgs(1, 2), Short: short,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runOrder(cmd, verb, args, false) },
	}
}

func (c *command) kill() *cobra.Command {
	var stayDown bool
	cmd := &cobra.Command{
		Use: "kill HOST [PROCESS]", GroupID: "fault", Args: cobra.RangeArgs(1, 2),
		Short: "Kill a process (SIGKILL; the supervisor starts it again), or switch a whole host off",
		RunE:  func(cmd *cobra.Command, args []string) error { return c.runOrder(cmd, "kill", args, stayDown) },
	}
	cmd.Flags().BoolVar(&stayDown, "stay-down", false, "do not let the supervisor start it again")
	return cmd
}

func (c *command) runOrder(cmd *cobra.Command, verb string, args []string, stayDown bool) error {
	l, err := c.lab()
	if err != nil {
		return err
	}
	host := args[0]
	if len(args) == 2 {
		if err := l.Order(cmd.Context(), verb, host, args[1], stayDown); err != nil {
			return fmt.Errorf("%s %s %s: %w", verb, host, args[1], err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s: done\n", verb, host, args[1])
		return nil
	}
	switch verb {
	case "kill":
		err = l.Power(cmd.Context(), host, false)
	case "start":
		err = l.Power(cmd.Context(), host, true)
	default:
		return errors.New(verb + " needs a process: weir status lists them")
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, host, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s: done\n", verb, host)
	return nil
}

func (c *command) cut() *cobra.Command {
	var from []string
	cmd := c.network("cut HOST", "Take a host off the network, as when its switch port dies; it is not told",
		func(ctx context.Context, l *lab.Lab, host string) error { return l.Cut(ctx, host, from...) })
	cmd.Flags().StringSliceVar(&from, "from", nil, "lose the traffic with these hosts only")
	return cmd
}

func (c *command) heal() *cobra.Command {
	return c.network("heal HOST", "Undo cut and slow",
		func(ctx context.Context, l *lab.Lab, host string) error { return l.Heal(ctx, host) })
}

func (c *command) slow() *cobra.Command {
	var delay time.Duration
	var loss float64
	cmd := c.network("slow HOST", "Make a host's network slow or lossy",
		func(ctx context.Context, l *lab.Lab, host string) error {
			if delay == 0 && loss == 0 {
				return errors.New("give --delay, --loss or both")
			}
			return l.Slow(ctx, host, delay, loss)
		})
	cmd.Flags().DurationVar(&delay, "delay", 0, "each way, such as 50ms")
	cmd.Flags().Float64Var(&loss, "loss", 0, "per cent of the frames lost, each way")
	return cmd
}

func (c *command) network(use, short string, do func(context.Context, *lab.Lab, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, GroupID: "fault", Args: cobra.ExactArgs(1), Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.lab()
			if err != nil {
				return err
			}
			if err := do(cmd.Context(), l, args[0]); err != nil {
				return fmt.Errorf("%s %s: %w", cmd.Name(), args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s: done\n", cmd.Name(), args[0])
			return nil
		},
	}
}
