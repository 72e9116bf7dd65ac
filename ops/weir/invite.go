package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/render"
)

func (c *command) invite() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "invite [EMAIL]", GroupID: "people", Args: cobra.MaximumNArgs(1),
		Short: "Print a one-time link that makes an account; without an address, the first administrator's",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && cmd.Flags().Changed("role") {
				return errors.New("the first account is an administrator's; with --role, give the address of whom you invite")
			}
			return c.server(cmd, append([]string{"invite", "--role", role}, args...)...)
		},
	}
	cmd.Flags().StringVar(&role, "role", "viewer", "viewer, operator or administrator")
	return cmd
}

// server runs a command of the server where the server runs, with its settings and secrets: on the
// console's host of a running lab, or else on this machine.
func (c *command) server(cmd *cobra.Command, args ...string) error {
	l, inv, err := c.labAndInventory()
	if err != nil {
		return err
	}
	argv := serverCommand(args...)
	if l.Running() {
		if argv, err = l.EnterCommand(inv.Console.Name, argv); err != nil {
			return err
		}
	} else if _, err := os.Stat(render.ConsoleEnv); err != nil {
		return fmt.Errorf("neither does a lab run, nor is this the console's machine: %w", err)
	}
	run := exec.CommandContext(cmd.Context(), argv[0], argv[1:]...)
	run.Env = clientEnv()
	run.Stdin, run.Stdout, run.Stderr = nil, cmd.OutOrStdout(), cmd.ErrOrStderr()
	return run.Run()
}

func serverCommand(args ...string) []string {
	return append([]string{render.Programs + "/server", "--settings", render.ConsoleEnv}, args...)
}

// printFirstLink shows the way in while there is no administrator.
func printFirstLink(ctx context.Context, out io.Writer, l *lab.Lab, inv *inventory.Inventory) error {
	argv, err := l.EnterCommand(inv.Console.Name, serverCommand("invite", "--if-first"))
	if err != nil {
		return err
	}
	var said, why bytes.Buffer
	run := exec.CommandContext(ctx, argv[0], argv[1:]...)
	run.Env, run.Stdout, run.Stderr = clientEnv(), &said, &why
	if err := run.Run(); err != nil {
		return fmt.Errorf("make the first administrator's link: %w: %s", err, strings.TrimSpace(why.String()))
	}
	if link := strings.TrimSpace(said.String()); link != "" {
		fmt.Fprintf(out, "\nNobody has an account yet. The first administrator's link, good once, for a day (weir invite prints another):\n  %s\n", link)
	}
	return nil
}

// waitConsole waits until the server is ready and has its tables.
func waitConsole(ctx context.Context, l *lab.Lab, inv *inventory.Inventory) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}}
	for {
		err := askConsole(ctx, &client, inv)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the console was not ready within 30 s: %w\nweir logs %s says more", err, inv.Console.Name)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func askConsole(ctx context.Context, client *http.Client, inv *inventory.Inventory) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	at := net.JoinHostPort(inv.Console.Address.String(), strconv.Itoa(inv.Console.Port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var is struct {
		Status string
		Tables bool
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&is); err != nil {
		return err
	}
	if is.Status != "ready" || !is.Tables {
		return fmt.Errorf("it is %s, its tables are there: %t", is.Status, is.Tables)
	}
	return nil
}
