// Boot starts a program of this project in an image that holds nothing else:
//
//	boot run ENVFILE PROGRAM [ARGUMENT...]   what EnvironmentFile= of a unit does: so no setting is in `docker inspect`
//	boot probe URL                           exit 0 when it answers 200 within 3 s: a health check
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := boot(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "boot: "+err.Error())
		os.Exit(1)
	}
}

func boot(args []string) error {
	switch {
	case len(args) > 2 && args[0] == "run":
		env, err := environment(os.Environ(), args[1])
		if err != nil {
			return err
		}
		return fmt.Errorf("start %s: %w", args[2], syscall.Exec(args[2], args[2:], env))
	case len(args) == 2 && args[0] == "probe":
		return probe(args[1])
	}
	return fmt.Errorf("say run ENVFILE PROGRAM, or probe URL")
}

// environment is the container's own and then the file's, NAME=VALUE a line, which so wins.
func environment(own []string, file string) ([]string, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	set := map[string]bool{}
	var env []string
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("read settings: %s has a line without =", file)
		}
		set[name] = true
		env = append(env, line)
	}
	for _, pair := range own {
		if name, _, _ := strings.Cut(pair, "="); !set[name] {
			env = append(env, pair)
		}
	}
	return env, nil
}

func probe(url string) error {
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // docker inspect shows it
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: %s answers %s: %s", url, resp.Status, said)
	}
	return nil
}
