package main

import "github.com/spf13/cobra"

func (c *command) gap() *cobra.Command    { return &cobra.Command{Use: "gap"} }
func (c *command) bench() *cobra.Command  { return &cobra.Command{Use: "bench"} }
func (c *command) status() *cobra.Command { return &cobra.Command{Use: "status"} }
