// Weir is the operator's command: it runs the lab, looks at the chain, and breaks it on purpose.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"weir/ops/inventory"
	"weir/ops/lab"
)

// version is stamped by the Makefile.
var version = "development"

func main() {
	if lab.Hidden() { // the lab starts its own processes from this program
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit): // what it ran has said why
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "weir: "+err.Error())
		os.Exit(1)
	}
}

// command carries what every subcommand needs: which lab, which cluster.
type command struct {
	labName string
	home    string
}

func newRoot() *cobra.Command {
	c := &command{}
	root := &cobra.Command{
		Use:           "weir",
		Short:         "A high-availability front door for PostgreSQL: run it, watch it, break it, measure it",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&c.labName, "lab", "default", "which lab; several run beside each other")
	root.PersistentFlags().StringVar(&c.home, "home", labHome(), "where labs keep their disks, logs and secrets")
	root.AddGroup(
		&cobra.Group{ID: "lab", Title: "The lab:"},
		&cobra.Group{ID: "look", Title: "Look and use:"},
		&cobra.Group{ID: "people", Title: "People and programs:"},
		&cobra.Group{ID: "fault", Title: "Break it on purpose:"},
		&cobra.Group{ID: "measure", Title: "Measure:"})
	root.AddCommand(c.up(), c.down(), c.status(), c.psql(), c.dsn(), c.exec(), c.logs(), c.rootfs(), c.render(), c.gap(), c.bench())
	root.AddCommand(c.invite(), c.token(), c.migrate())
	root.AddCommand(c.faults()...)
	return root
}

// labHome is .lab beside the bin directory this program lies in, or in the current directory.
func labHome() string {
	if home := os.Getenv("WEIR_HOME"); home != "" {
		return home
	}
	if exe, err := os.Executable(); err == nil && filepath.Base(filepath.Dir(exe)) == "bin" {
		return filepath.Join(filepath.Dir(filepath.Dir(exe)), ".lab")
	}
	return ".lab"
}

func (c *command) lab() (*lab.Lab, error) {
	if !labName.MatchString(c.labName) {
		return nil, fmt.Errorf("--lab %q: lower-case letters, digits and dashes", c.labName)
	}
	return lab.Open(c.home, c.labName)
}

// labAndInventory opens what nearly every command reads.
func (c *command) labAndInventory() (*lab.Lab, *inventory.Inventory, error) {
	inv, err := loadInventory()
	if err != nil {
		return nil, nil, err
	}
	l, err := c.lab()
	return l, inv, err
}

func loadInventory() (*inventory.Inventory, error) {
	inv, err := inventory.Load()
	var problems inventory.Problems
	if errors.As(err, &problems) {
		return nil, fmt.Errorf("the inventory has %d problem(s):\n%w", len(problems), err)
	}
	return inv, err
}
