package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
)

func (c *command) token() *cobra.Command {
	parent := &cobra.Command{Use: "token", GroupID: "people", Short: "API tokens for programs"}
	var role, name string
	var good time.Duration
	create := &cobra.Command{
		Use: "create --role ROLE --expires DURATION", Args: cobra.NoArgs,
		Short: "Print a new API token, once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if good <= 0 {
				return errors.New("--expires: how long the token is good, such as 720h")
			}
			return c.server(cmd, "token", "--role", role, "--expires", good.String(), "--name", name)
		},
	}
	create.Flags().StringVar(&role, "role", "", "viewer, operator or administrator")
	create.Flags().DurationVar(&good, "expires", 0, "how long it is good, such as 720h; at most 366 days")
	create.Flags().StringVar(&name, "name", "made on the machine", "what people tell it by")
	create.MarkFlagRequired("role")
	create.MarkFlagRequired("expires")
	parent.AddCommand(create)
	return parent
}
