package main

import "github.com/spf13/cobra"

func (c *command) migrate() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", GroupID: "people", Args: cobra.NoArgs,
		Short: "Bring Weir's own tables up to date; the server and the monitor do it at their start",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.server(cmd, "migrate") },
	}
}
