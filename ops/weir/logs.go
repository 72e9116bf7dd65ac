package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/ops/lab"
)

func (c *command) logs() *cobra.Command {
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use: "logs HOST [PROCESS]", GroupID: "look", Args: cobra.RangeArgs(1, 2),
		Short: "Show what a host's processes wrote; also after the lab is down",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.lab()
			if err != nil {
				return err
			}
			files, err := logFiles(l, args)
			if err != nil {
				return err
			}
			return showLogs(cmd.Context(), cmd.OutOrStdout(), files, lines, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as more is written")
	cmd.Flags().IntVarP(&lines, "lines", "n", 40, "how many last lines of each")
	return cmd
}

func logFiles(l *lab.Lab, args []string) ([]string, error) {
	process := "*"
	if len(args) == 2 {
		process = args[1]
	}
	files, err := filepath.Glob(l.LogPath(args[0], process))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no log of %s: the hosts are %s", strings.Join(args, " "), strings.Join(l.HostNames(), ", "))
	}
	return files, nil
}

// showLogs prints the end of each file and, with follow, what comes after, until interrupted.
func showLogs(ctx context.Context, out io.Writer, files []string, lines int, follow bool) error {
	offsets := make([]int64, len(files))
	for i, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		offsets[i] = int64(len(body))
		all := strings.SplitAfter(string(body), "\n")
		printLog(out, path, len(files) > 1, strings.Join(all[max(0, len(all)-1-lines):], ""))
	}
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		for i, path := range files {
			more, err := readFrom(path, offsets[i])
			if err != nil {
				return err
			}
			offsets[i] += int64(len(more))
			printLog(out, path, len(files) > 1, string(more))
		}
	}
	return nil
}

func readFrom(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	more, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return more, err
}

// printLog puts the process's name before each line where there are several.
func printLog(out io.Writer, path string, named bool, text string) {
	name := strings.TrimSuffix(filepath.Base(path), ".log")
	for line := range strings.Lines(text) {
		if named {
			fmt.Fprintf(out, "%-12s ", name)
		}
		fmt.Fprint(out, line)
	}
}
